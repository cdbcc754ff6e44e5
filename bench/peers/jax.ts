/** Room: bench/peers. jax-js on WebGPU, every work jitted whole. Its arrays are consumed by what reads them: `.ref` keeps one. */
import {
  blockUntilReady,
  defaultDevice,
  getWebGPUDevice,
  init,
  jit,
  nn,
  numpy as np,
  tree,
  valueAndGrad,
} from '@jax-js/jax';
import { readFile } from 'node:fs/promises';
import type { HostTensor, Library, Prepared, Work } from './wire.ts';

type Inputs = Readonly<Record<string, np.Array>>;
type Compute = (inputs: Inputs) => Record<string, np.Array>;

export async function open(): Promise<Library> {
  if (!(await init('webgpu')).includes('webgpu')) throw new Error('jax-js finds no WebGPU');
  defaultDevice('webgpu');
  const manifest = new URL('../package.json', import.meta.resolve('@jax-js/jax'));
  const { version } = JSON.parse(await readFile(manifest, 'utf8')) as { version: string };
  return {
    version,
    adapter: (getWebGPUDevice() as unknown as { adapterInfo: GPUAdapterInfo }).adapterInfo.device,
    note: 'jitted whole',
    prepare(name, inputs, settings) {
      const loaded = Object.fromEntries(Object.entries(inputs).map(([key, t]) => [key, toArray(t)]));
      if (name === 'mlp_step') return mlpStep(loaded, settings);
      const work = WORKS[name];
      return work && repeated(loaded, work(settings));
    },
  };
}

function toArray({ data, shape }: HostTensor): np.Array {
  return np.array(data, { shape: [...shape], dtype: data instanceof Float32Array ? np.float32 : np.int32 });
}

async function read(array: np.Array): Promise<Float32Array> {
  const values = (await (array.ref.data() as Promise<unknown>)) as ArrayLike<number>;
  return Float32Array.from(values);
}

/** The arrays again, for a function that consumes them. */
function refs(inputs: Inputs): Record<string, np.Array> {
  return Object.fromEntries(Object.entries(inputs).map(([key, array]) => [key, array.ref]));
}

function repeated(inputs: Inputs, compute: Compute): Prepared {
  const compiled = jit(compute);
  let last: Record<string, np.Array> = {};
  return {
    run() {
      tree.dispose(last);
      last = compiled(refs(inputs));
    },
    async finish() {
      await blockUntilReady(refs(last));
    },
    async outputs() {
      const entries = Object.entries(last).map(async ([key, array]) => [key, await read(array)] as const);
      return Object.fromEntries(await Promise.all(entries));
    },
  };
}

const WORKS: Readonly<Record<string, (settings: Work['settings']) => Compute>> = {
  matmul:
    ({ transposeB }) =>
    ({ a, b }) => ({ c: np.matmul(a!, transposeB === true ? np.matrixTranspose(b!) : b!) }),
  gelu:
    () =>
    ({ x }) => ({ y: nn.gelu(x!, { approximate: true }) }),
  layer_norm:
    ({ eps }) =>
    ({ x, gamma, beta }) => ({
      y: nn
        .standardize(x!, -1, { epsilon: eps as number })
        .mul(gamma!)
        .add(beta!),
    }),
  softmax_cross_entropy:
    () =>
    ({ logits, labels }) => {
      const classes = logits!.shape[1]!;
      const lossOf = (x: np.Array, targets: np.Array): np.Array =>
        np.mean(np.sum(nn.logSoftmax(x).mul(targets), 1)).neg();
      const [loss, dlogits] = valueAndGrad(lossOf)(logits!, nn.oneHot(labels!, classes));
      return { loss, dlogits };
    },
  attention:
    ({ scale }) =>
    ({ q, k, v }) => ({ o: nn.dotProductAttention(q!, k!, v!, { scale: scale as number }) }),
};

const FACTORS = ['a1', 'u1', 'a2', 'u2'] as const;
type Factors = Record<(typeof FACTORS)[number], np.Array>;

function zeros(like: Factors): Factors {
  return Object.fromEntries(FACTORS.map((name) => [name, np.zerosLike(like[name].ref)])) as Factors;
}

/** Forward, backward and Adam of the LoRA MLP in one jitted function; `losses` are those before the first updates. */
function mlpStep(inputs: Inputs, settings: Work['settings']): Prepared {
  const { scaling, lr, checked } = settings as Record<string, number>;
  const frozen = Object.fromEntries(Object.entries(inputs).filter(([name]) => !FACTORS.includes(name as never)));
  const linear = (h: np.Array, w: np.Array, b: np.Array, down: np.Array, up: np.Array): np.Array => {
    const low = np.matmul(np.matmul(h.ref, down.transpose()), up.transpose());
    return np.matmul(h, w.transpose()).add(b).add(low.mul(scaling!));
  };
  const lossOf = (p: Factors, f: Record<string, np.Array>): np.Array => {
    const hidden = nn.gelu(linear(f.x!, f.w1!, f.b1!, p.a1, p.u1), { approximate: true });
    return np.mean(np.square(linear(hidden, f.w2!, f.b2!, p.a2, p.u2).sub(f.target!)));
  };
  const step = jit((p: Factors, m: Factors, v: Factors, t: np.Array, f: Record<string, np.Array>) => {
    const [loss, grads] = valueAndGrad(lossOf)(tree.ref(p), f) as unknown as [np.Array, Factors];
    const next = { p: {} as Factors, m: {} as Factors, v: {} as Factors };
    const bias1 = np.subtract(1, np.power(0.9, t.ref));
    const bias2 = np.subtract(1, np.power(0.999, t));
    for (const name of FACTORS) {
      const m1 = m[name].mul(0.9).add(grads[name].ref.mul(0.1));
      const v1 = v[name].mul(0.999).add(np.square(grads[name]).mul(0.001));
      const direction = m1.ref.div(bias1.ref).div(np.sqrt(v1.ref.div(bias2.ref)).add(1e-8));
      next.p[name] = p[name].sub(direction.mul(lr!));
      next.m[name] = m1;
      next.v[name] = v1;
    }
    bias1.dispose();
    bias2.dispose();
    return { loss, ...next };
  });
  const start = Object.fromEntries(FACTORS.map((name) => [name, inputs[name]!])) as Factors;
  let state = { p: start, m: zeros(start), v: zeros(start) };
  let t = 0;
  let last: np.Array | undefined;
  const losses: np.Array[] = [];
  const run = (): void => {
    const { loss, ...next } = step(state.p, state.m, state.v, np.array(++t), refs(frozen));
    state = next;
    if (losses.length < checked!) losses.push(loss.ref);
    last?.dispose();
    last = loss;
  };
  return {
    run,
    async finish() {
      await blockUntilReady([last!.ref, state.p.a1.ref, state.p.u2.ref]);
    },
    async outputs() {
      while (losses.length < checked!) run();
      const values = await Promise.all(losses.map(read));
      return { losses: Float32Array.from(values, (v) => v[0]!) };
    },
  };
}
