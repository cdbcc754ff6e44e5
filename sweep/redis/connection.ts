/**
 * Room: sweep/redis. The connection: where it leads is a URL, secrets come by URL or environment and are never shown. BullMQ and its client are
 * optional packages, loaded when a queue is asked for.
 */
import type * as BullMQ from 'bullmq';
import type { Redis } from 'ioredis';
import { UserError } from '../../engine/errors.ts';
import { needPackages } from '../../engine/io/packages.ts';

/** What talks to Redis: optional packages. */
export const QUEUE_PACKAGES: readonly string[] = ['bullmq', 'ioredis'];

/** The queue of a URL that names none. */
const DEFAULT_QUEUE = 'light-peft';

/** Environment in place of what a URL would have. */
const ENVIRONMENT = { username: 'LIGHT_PEFT_REDIS_USERNAME', password: 'LIGHT_PEFT_REDIS_PASSWORD' } as const;

export interface QueueAddress {
  /** Without user and password: to be shown. */
  readonly shown: string;
  /** Of the queue on that server. */
  readonly queue: string;
  readonly options: {
    readonly host: string;
    readonly port: number;
    readonly db: number;
    readonly username?: string | undefined;
    readonly password?: string | undefined;
    readonly tls?: object | undefined;
  };
}

/** @param url `redis://[USER:PASSWORD@]HOST[:PORT][/DB][?queue=NAME]`, or `rediss://` with TLS @throws UserError, without the URL's secrets */
export function parseAddress(url: string, environment: NodeJS.ProcessEnv = process.env): QueueAddress {
  const parsed = URL.parse(url);
  if (!parsed || !/^rediss?:$/.test(parsed.protocol) || parsed.hostname === '')
    throw new UserError('--queue: expected redis://HOST[:PORT][/DB], or rediss:// with TLS');
  const { protocol, hostname, port, pathname, searchParams } = parsed;
  const db = Number(pathname.replace(/^\//, '') || 0);
  if (!Number.isInteger(db) || db < 0)
    throw new UserError('--queue: the database after the host is not a whole number');
  const queue = searchParams.get('queue') ?? DEFAULT_QUEUE;
  if (!/^[\w.-]+$/.test(queue)) throw new UserError('--queue: its name may have letters, digits, "_", "-" and "."');
  const secret = (own: string, variable: string): string | undefined =>
    (own === '' ? environment[variable] : decodeURIComponent(own)) ?? undefined;
  const place = `${hostname}:${port || 6379}${db === 0 ? '' : `/${db}`}`;
  return {
    shown: `${protocol}//${place}${queue === DEFAULT_QUEUE ? '' : `?queue=${queue}`}`,
    queue,
    options: {
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 6379),
      db,
      username: secret(parsed.username, ENVIRONMENT.username),
      password: secret(parsed.password, ENVIRONMENT.password),
      ...(protocol === 'rediss:' && { tls: {} }),
    },
  };
}

/** Milliseconds between tries to connect, and in which the first must come about. */
const RETRY_EVERY = 1000;
const CONNECT_WITHIN = 5000;

/** A connection, and BullMQ. */
export interface Connected {
  readonly client: Redis;
  readonly bullmq: typeof BullMQ;
}

/**
 * Connects. An outage later on is waited out: what is to be written then is written after it.
 * @param onOutage hears once an outage
 * @throws UserError where the server cannot be reached, or refuses; MissingPackageError
 */
export async function connect(
  address: QueueAddress,
  onOutage: (message: string) => void = () => undefined,
): Promise<Connected> {
  needPackages(QUEUE_PACKAGES);
  const [{ Redis }, bullmq] = await Promise.all([import('ioredis'), import('bullmq')]);
  let why = 'no answer';
  let isReady = false;
  let isOut = false;
  const client = new Redis({
    ...address.options,
    maxRetriesPerRequest: null,
    connectTimeout: CONNECT_WITHIN,
    retryStrategy: () => RETRY_EVERY,
    lazyConnect: true,
  });
  client.on('error', (error: Error & { code?: string }) => {
    why = reason(error);
    if (isReady && !isOut) onOutage(`${address.shown}: ${why}; waiting for it`);
    isOut = true;
  });
  client.on('ready', () => {
    isOut = false;
  });
  const late = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(why)), CONNECT_WITHIN + RETRY_EVERY).unref();
  });
  try {
    await Promise.race([client.connect().then(() => client.ping()), late]);
  } catch (error) {
    client.disconnect();
    const isClosed = error instanceof Error && /Connection is closed/.test(error.message);
    const found = isClosed ? why : reason(error);
    const question = /^E[A-Z]+$|no answer/.test(found) ? '; is redis-server running there?' : '';
    throw new UserError(`${address.shown}: cannot be reached: ${found}${question}`);
  }
  isReady = true;
  return { client, bullmq };
}

/** The server's words without what it was asked. */
export function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { code } = error as NodeJS.ErrnoException;
  if (error instanceof AggregateError) return code ?? reason(error.errors[0]);
  if (/OOM command not allowed/.test(error.message)) return 'it is out of memory (maxmemory)';
  if (/NOAUTH|WRONGPASS/.test(error.message)) return 'it wants another user or password';
  return code ?? error.message.split('\n')[0]!;
}

/** An error of the server as one for people; any other as it is. */
export function serverError(address: QueueAddress, error: unknown): unknown {
  const isServer =
    error instanceof Error && /OOM command|NOAUTH|WRONGPASS|READONLY|MISCONF|ECONN|EPIPE|closed/i.test(error.message);
  return isServer
    ? new UserError(`${address.shown}: ${reason(error)}; what is done is kept, the same command goes on`)
    : error;
}
