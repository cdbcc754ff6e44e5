/** A repository of a few files, small and large, in a folder and with a name in it. */
export const WEIGHTS = Buffer.from(Array.from({ length: 300_001 }, (_, i) => (i * 7919) % 251));

export const TINY = {
  'config.json': '{"a":1}',
  'model.safetensors': WEIGHTS,
  'onnx/model.txt': 'x',
  'README.md': '# ü\n',
};
