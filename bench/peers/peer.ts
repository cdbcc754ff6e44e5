/** Room: bench/peers. Starts peers as processes and talks to them. A peer that cannot be had is named with the reason, never guessed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { CandidateError, type Candidate } from '../measure/sample.ts';
import {
  greetingSchema,
  MARK,
  replySchema,
  type Greeting,
  type HostTensor,
  type Reply,
  type Request,
  type Work,
} from './wire.ts';

const SERVE = ['--import', 'tsx', join(import.meta.dirname, 'serve.ts')];

const SERVE_PYTHON = join(import.meta.dirname, 'serve.py');

/** How each peer is started. `webgpu` peers must run on the engine's adapter, the other on the processor. */
export const PEERS = {
  tfjs: { label: 'TensorFlow.js', command: [process.execPath, ...SERVE, 'tfjs', 'default'], webgpu: true },
  'tfjs-patient': {
    label: 'TensorFlow.js, patient',
    command: [process.execPath, ...SERVE, 'tfjs', 'patient'],
    webgpu: true,
  },
  'jax-js': { label: 'jax-js', command: [process.execPath, ...SERVE, 'jax-js', 'default'], webgpu: true },
  'jax-js-patient': {
    label: 'jax-js, patient',
    command: [process.execPath, ...SERVE, 'jax-js', 'patient'],
    webgpu: true,
  },
  torch: { label: 'PyTorch', command: ['python3', SERVE_PYTHON, 'torch_peer'], webgpu: false },
  numpy: { label: 'NumPy', command: ['python3', SERVE_PYTHON, 'numpy_peer'], webgpu: false },
} as const satisfies Record<string, { label: string; command: readonly string[]; webgpu: boolean }>;

export type PeerName = keyof typeof PEERS;

/** Seconds until a peer must have answered, after which it is ended: the first run of a work compiles its shaders. */
const PATIENCE = 180;

export interface Missing {
  readonly name: PeerName;
  readonly reason: string;
}

export class Peer {
  readonly name: PeerName;
  /** With its version, without which a ratio says nothing. */
  readonly label: string;
  readonly greeting: Greeting;
  readonly #child: ChildProcess;
  readonly #lines: Lines;
  readonly #folder: string;
  #failure: string | undefined;

  private constructor(name: PeerName, greeting: Greeting, child: ChildProcess, lines: Lines, folder: string) {
    this.name = name;
    this.label = `${PEERS[name].label} ${greeting.version}`;
    this.greeting = greeting;
    this.#child = child;
    this.#lines = lines;
    this.#folder = folder;
  }

  /** Starts a peer. @returns the reason where it cannot be had */
  static async start(name: PeerName, folder: string): Promise<Peer | Missing> {
    const [program, ...args] = PEERS[name].command;
    const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] });
    process.once('exit', () => child.kill('SIGKILL'));
    const lines = new Lines(child);
    try {
      const greeting = greetingSchema.parse(await lines.next());
      child.kill('SIGSTOP');
      return new Peer(name, greeting, child, lines, folder);
    } catch (error) {
      child.kill();
      return { name, reason: (error as Error).message };
    }
  }

  /** Why the work at hand could not be done; a peer that ended stays failed. */
  get failure(): string | undefined {
    return this.#failure;
  }

  /**
   * Loads a work and runs it once.
   * @returns its outputs, or why the peer has none
   */
  async prepare(work: PeerWork): Promise<Map<string, Float32Array> | { readonly reason: string }> {
    if (this.#lines.ended) return { reason: this.#failure ?? 'it ended' };
    this.#failure = undefined;
    try {
      return await this.#prepare(work);
    } catch (error) {
      if (error instanceof CandidateError) return { reason: error.message };
      throw error;
    }
  }

  async #prepare(work: PeerWork): Promise<Map<string, Float32Array> | { readonly reason: string }> {
    const folder = await mkdtemp(join(this.#folder, `${this.name}-`));
    const inputs: Work['inputs'] = {};
    for (const [key, { shape, data }] of Object.entries(work.inputs)) {
      const file = join(folder, `${key}.in`);
      await writeFile(file, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      inputs[key] = { file, shape: [...shape], dtype: data instanceof Float32Array ? 'f32' : 'i32' };
    }
    const outputs = join(folder, 'out');
    await mkdir(outputs);
    const { name, settings } = work;
    const reply = await this.#ask({ op: 'prepare', work: { name, inputs, settings }, folder: outputs });
    if ('unsupported' in reply) return { reason: reply.unsupported };
    if (!('outputs' in reply)) throw new Error(`${this.label}: ${JSON.stringify(reply)}`);
    const results = new Map<string, Float32Array>();
    for (const [key, file] of Object.entries(reply.outputs)) {
      const bytes = await readFile(file);
      results.set(key, new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)));
    }
    await rm(folder, { recursive: true });
    return results;
  }

  /** The prepared work as a candidate. */
  get candidate(): Candidate {
    return {
      name: this.name,
      time: async (runs) => {
        const reply = await this.#ask({ op: 'time', runs });
        if (!('seconds' in reply)) throw new Error(`${this.label}: ${JSON.stringify(reply)}`);
        return reply.seconds;
      },
    };
  }

  /** A peer sleeps until it is asked: threads that wait for work busily would take the cores of whoever is timed. */
  async #ask(request: Request): Promise<Reply> {
    this.#child.kill('SIGCONT');
    this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    const reply = await this.#lines.next().then(
      (message) => replySchema.parse(message),
      (error: unknown) => ({ error: (error as Error).message }),
    );
    this.#child.kill('SIGSTOP');
    if (!('error' in reply)) return reply;
    this.#failure = `it failed: ${reply.error}`;
    throw new CandidateError(this.#failure);
  }

  close(): void {
    this.#child.kill('SIGKILL');
  }
}

/** A work as the benchmark has it, its tensors in memory. */
export interface PeerWork {
  readonly name: string;
  readonly inputs: Readonly<Record<string, HostTensor>>;
  readonly settings: Work['settings'];
}

/** The protocol lines of a child, one by one. */
class Lines {
  readonly #child: ChildProcess;
  readonly #reader: Interface;
  readonly #iterator: AsyncIterator<string>;
  #stderr = '';
  #failure: Error | undefined;
  #ended = false;

  constructor(child: ChildProcess) {
    this.#child = child;
    child.on('error', (error) => (this.#failure = error));
    child.stdin?.on('error', () => undefined);
    child.stderr?.on('data', (text: Buffer) => (this.#stderr = (this.#stderr + text.toString()).slice(-2000)));
    this.#reader = createInterface({ input: child.stdout! });
    this.#iterator = this.#reader[Symbol.asyncIterator]();
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** @throws Error with the last line the child wrote to stderr, where it ends or keeps silent */
  async next(): Promise<unknown> {
    for (;;) {
      const timer = setTimeout(() => {
        this.#failure ??= new Error(`no answer within ${PATIENCE} s`);
        this.#child.kill('SIGKILL');
      }, PATIENCE * 1000);
      const line = await this.#iterator.next();
      clearTimeout(timer);
      if (line.done === true) {
        this.#ended = true;
        throw this.#failure ?? new Error(lastLine(this.#stderr));
      }
      if (line.value.startsWith(MARK)) return JSON.parse(line.value.slice(MARK.length));
    }
  }
}

function lastLine(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const telling = lines.filter((line) => /error/i.test(line)).at(-1);
  return telling ?? lines.findLast((line) => line !== '') ?? 'it ended without a word';
}

/** The peers of one benchmark run. */
export class Peers {
  readonly present: readonly Peer[];
  readonly missing: readonly Missing[];
  readonly #folder: string;

  private constructor(present: readonly Peer[], missing: readonly Missing[], folder: string) {
    this.present = present;
    this.missing = missing;
    this.#folder = folder;
  }

  static async start(names: readonly PeerName[]): Promise<Peers> {
    const folder = await mkdtemp(join(tmpdir(), 'light-peft-peers-'));
    const started = await Promise.all(names.map((name) => Peer.start(name, folder)));
    const present = started.filter((peer) => peer instanceof Peer);
    return new Peers(present, started.filter((peer) => !(peer instanceof Peer)) as Missing[], folder);
  }

  /** Those of the names given. */
  named(names: readonly PeerName[]): Peers {
    const has = ({ name }: { readonly name: PeerName }): boolean => names.includes(name);
    return new Peers(this.present.filter(has), this.missing.filter(has), this.#folder);
  }

  /** Without those that compute on something else than the engine: figures of two adapters are not compared. */
  on(adapter: { readonly device: string; readonly software: boolean }): Peers {
    const faults = this.present.flatMap((peer) => {
      const reason = foreign(peer, adapter);
      return reason === undefined ? [] : [{ name: peer.name, reason }];
    });
    const kept = this.present.filter((peer) => !faults.some((f) => f.name === peer.name));
    return new Peers(kept, [...this.missing, ...faults], this.#folder);
  }

  async close(): Promise<void> {
    for (const peer of this.present) peer.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** Why a peer's figures must not stand beside the engine's. */
function foreign(
  { name, greeting }: Peer,
  adapter: { readonly device: string; readonly software: boolean },
): string | undefined {
  const { webgpu } = PEERS[name];
  if (webgpu && greeting.adapter !== adapter.device) return `it runs on ${greeting.adapter}, another adapter`;
  if (!webgpu && !adapter.software) return 'it runs on the processor, the engine on a GPU';
  return undefined;
}
