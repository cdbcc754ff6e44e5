/**
 * Room: examples. A strategy of your own for several tasks: MGDA (Sener & Koltun 2018) takes the shortest vector between two tasks' gradients,
 * which goes down for both. A control sees a gradient a task, asks for dot products in each layer, and gives other gradients.
 *
 *     npx tsx examples/custom-gradient-control.ts [STEPS]
 */
import { Engine, getPeftModel, loadModel, loraConfig, times, train, type GradientControl } from 'light-peft';
import { loadData } from 'light-peft/data';
import { add, div, expand, maximum, minimum, mul, reshape, sub, sum, type Tensor } from 'light-peft/engine';

const mgda: GradientControl = {
  begin: () => ({
    apply: (gradients) => {
      // Of the whole gradients: over all layers.
      const dot = (a: number, b: number): Tensor => {
        const all = sum(gradients.dot(gradients.of(a), gradients.of(b)));
        return expand(reshape(all, [1]), [gradients.layers]);
      };
      const [aa, ab, bb] = [dot(0, 0), dot(0, 1), dot(1, 1)];
      const length = add(sub(add(aa, bb), mul(ab, 2)), 1e-20);
      const weight = minimum(1, maximum(0, div(sub(bb, ab), length)));
      const mixtures = [times(gradients.of(0), weight), times(gradients.of(1), sub(1, weight))];
      return { gradients: gradients.with(mixtures), weight };
    },
  }),
};

const steps = Number(process.argv[2] ?? 50);
using engine = await Engine.open();
const checkpoint = await loadModel('checkpoints/light-roberta');
const load = (task: string) => loadData(checkpoint, { task }, { maxLength: 24 });
const [sentiment, spam] = [await load('sentiment'), await load('spam')];
const heads = [
  { name: 'sentiment', head: sentiment.head, labels: sentiment.labels },
  { name: 'spam', head: spam.head, labels: spam.labels },
];
using model = await getPeftModel(engine, checkpoint, loraConfig({ r: 8 }), { heads });
const data = new Map([
  ['sentiment', sentiment.train],
  ['spam', spam.train],
]);
await train(model, data, {
  steps,
  batchSize: 16,
  gradientControl: [mgda],
  callbacks: [
    {
      onStep: ({ step, tasks }) => {
        const { loss, conflicting, weight } = tasks!;
        if (step % 10 > 0) return;
        const losses = Object.entries(loss).map(([name, value]) => `${name} ${value.toFixed(3)}`);
        console.log(`step ${step}: ${losses.join(', ')}, weight ${weight![0]!.toFixed(2)}, conflicts ${conflicting}`);
      },
    },
  ],
});
