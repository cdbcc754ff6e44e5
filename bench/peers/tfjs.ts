/** Room: bench/peers. TensorFlow.js on its WebGPU backend, eager as its users run it. */
import * as tf from '@tensorflow/tfjs';
import { WebGPUBackend } from '@tensorflow/tfjs-backend-webgpu';
import type { HostTensor, Library, Prepared, Work } from './wire.ts';

type Inputs = Readonly<Record<string, tf.Tensor>>;
type Compute = (inputs: Inputs, settings: Work['settings']) => Record<string, tf.Tensor>;

export async function open(): Promise<Library> {
  await tf.setBackend('webgpu');
  await tf.ready();
  const backend = tf.backend();
  if (!(backend instanceof WebGPUBackend)) throw new Error(`the backend is ${tf.getBackend()}`);
  const adapter = backend.device as unknown as { adapterInfo: GPUAdapterInfo };
  const finish = async (): Promise<void> => {
    backend.ensureCommandEncoderReady();
    backend.endComputePassEncoder();
    backend.submitQueue();
    await backend.queue.onSubmittedWorkDone();
  };
  return {
    version: tf.version.tfjs,
    adapter: adapter.adapterInfo.device,
    note: 'eager',
    prepare(name, inputs, settings) {
      const loaded = Object.fromEntries(Object.entries(inputs).map(([key, t]) => [key, toTensor(t)]));
      if (name === 'mlp_step') return mlpStep(loaded, settings, finish);
      const compute = WORKS[name];
      return compute && repeated(() => compute(loaded, settings), finish);
    },
  };
}

function toTensor({ data, shape }: HostTensor): tf.Tensor {
  return tf.tensor(data, [...shape], data instanceof Float32Array ? 'float32' : 'int32');
}

/** A work without state: every run computes the same; the outputs of the last are kept. */
function repeated(compute: () => Record<string, tf.Tensor>, finish: () => Promise<void>): Prepared {
  let last: Record<string, tf.Tensor> = {};
  return {
    run() {
      tf.dispose(last);
      last = tf.tidy(compute);
    },
    finish,
    async outputs() {
      const entries = Object.entries(last).map(async ([key, t]) => [key, (await t.data()) as Float32Array] as const);
      return Object.fromEntries(await Promise.all(entries));
    },
  };
}

function gelu(x: tf.Tensor): tf.Tensor {
  const inner = tf.mul(x.add(tf.mul(tf.mul(x.square(), x), 0.044715)), Math.sqrt(2 / Math.PI));
  return x.mul(0.5).mul(tf.tanh(inner).add(1));
}

const WORKS: Readonly<Record<string, Compute>> = {
  matmul: ({ a, b }, { transposeB }) => ({ c: tf.matMul(a!, b!, false, transposeB === true) }),
  gelu: ({ x }) => ({ y: gelu(x!) }),
  layer_norm({ x, gamma, beta }, { eps }) {
    const { mean, variance } = tf.moments(x!, -1, true);
    const y = x!.sub(mean).mul(tf.rsqrt(variance.add(eps as number)));
    return { y: y.mul(gamma!).add(beta!) };
  },
  softmax_cross_entropy({ logits, labels }) {
    const targets = tf.oneHot(labels!.toInt(), logits!.shape[1]!);
    const { value, grad } = tf.valueAndGrad((x: tf.Tensor) => tf.losses.softmaxCrossEntropy(targets, x).asScalar())(
      logits!,
    );
    return { loss: value, dlogits: grad };
  },
  attention({ q, k, v }, { scale }) {
    const [query, key, value] = [q!, k!, v!].map((t) => tf.transpose(t, [0, 2, 1, 3]));
    const scores = tf.softmax(tf.matMul(query!, key!, false, true).mul(scale as number));
    return { o: tf.transpose(tf.matMul(scores, value!), [0, 2, 1, 3]) };
  },
};

const FACTORS = ['a1', 'u1', 'a2', 'u2'] as const;

/** Forward, backward and Adam of the LoRA MLP; `losses` are those before the first updates. */
function mlpStep(inputs: Inputs, settings: Work['settings'], finish: () => Promise<void>): Prepared {
  const { x, target, w1, b1, w2, b2 } = inputs as Record<string, tf.Tensor2D>;
  const { scaling, lr, checked } = settings as Record<string, number>;
  const [a1, u1, a2, u2] = FACTORS.map((name) => tf.variable(inputs[name]!) as tf.Variable<tf.Rank.R2>);
  const optimizer = tf.train.adam(lr, 0.9, 0.999, 1e-8);
  const linear = (h: tf.Tensor, w: tf.Tensor, b: tf.Tensor, down: tf.Tensor, up: tf.Tensor): tf.Tensor => {
    const low = tf.matMul(tf.matMul(h, down, false, true), up, false, true);
    return tf.matMul(h, w, false, true).add(b).add(low.mul(scaling!));
  };
  const losses: tf.Scalar[] = [];
  const run = (): void => {
    const loss = optimizer.minimize(
      () => {
        const hidden = gelu(linear(x!, w1!, b1!, a1!, u1!));
        return linear(hidden, w2!, b2!, a2!, u2!).sub(target!).square().mean();
      },
      true,
      [a1!, u1!, a2!, u2!],
    )!;
    if (losses.length < checked!) losses.push(loss);
    else loss.dispose();
  };
  return {
    run,
    finish,
    async outputs() {
      while (losses.length < checked!) run();
      const values = await Promise.all(losses.map((loss) => loss.data()));
      return { losses: Float32Array.from(values, (v) => v[0]!) };
    },
  };
}
