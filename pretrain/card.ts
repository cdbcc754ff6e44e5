/** Room: pretrain. The model card of a pretrained checkpoint: what it is, what it saw, how to make it again. */
import type { CorpusSource } from './corpora.ts';
import type { PretrainOptions } from './options.ts';
import type { PretrainResult } from './pretrain.ts';

/** Markdown for the folder's README. @param command that made it, with its flags */
export function modelCard(
  sources: readonly CorpusSource[],
  options: PretrainOptions & { readonly vocabSize: number },
  command: string,
  result: PretrainResult & { readonly adapter: string },
): string {
  const rows = sources.map(
    (s) =>
      `| ${s.description} | ${s.licence} | ${s.documents.toLocaleString('en')} | ${s.words.toLocaleString('en')} | ${s.repeats} |`,
  );
  return `---
language: en
license: mit
library_name: transformers
pipeline_tag: fill-mask
---

# Light-RoBERTa

A small RoBERTa (${options.layers} layers, hidden size ${options.hiddenSize}, ${options.heads} heads, ${options.neurons} FFN neurons, vocabulary ${options.vocabSize}, uncased
byte-level BPE, at most ${options.maxLength} tokens), pretrained from nothing by masked language modelling with this repository's own WebGPU
engine. Weights are f16. Its word embeddings began as vectors that factorise which tokens occur near which in the training text
(positive pointwise mutual information), its output bias as the log of their frequency. It is a foundation for experiments with PEFT and pruning, not a model for use.

| | |
|---|---|
| steps | ${result.steps} of ${options.batchSize} × ${options.maxLength} tokens = ${(result.tokens / 1e6).toFixed(1)} million token positions |
| held-out loss, perplexity per masked token | ${result.heldOutLoss.toFixed(3)}, ${result.heldOutPerplexity.toFixed(1)} |
| adapter | ${result.adapter} |

## Text

No validation or test text of the built-in tasks, nor anything close to it, is among the training text; one document in fifty is
held out.

| source | licence | documents | words | visits per epoch |
|---|---|---|---|---|
${rows.join('\n')}

## How to make it again

    ${command}

A \`tokenizer.json\` that is already in DIR is used, else one is trained on the same text.
`;
}
