/**
 * Room: models/hub. Requests to a hub, as `@huggingface/hub` is given them for its own: with the address and the token of the settings, and
 * again where that may help; an answer without success is an error in one line. The library itself knows neither `HF_ENDPOINT` nor
 * `HF_TOKEN`, does not try again, and drops the hub's reason. Uses the network.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { causeOf, connectionError, errorOf, LocalEntryNotFoundError } from './errors.ts';
import type { Repo } from './repo.ts';
import type { HubSettings } from './settings.ts';

/** Answers after which the same request may succeed. */
const PASSING = [408, 429, 500, 502, 503, 504];

/** Causes that do not pass by themselves. */
const LASTING =
  /ENOTFOUND|ECONNREFUSED|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH|CERT|ERR_TLS|SELF_SIGNED|ERR_SSL|UND_ERR_CONNECT_TIMEOUT/;

/** Times that a request is repeated. */
export const RETRIES = 5;

const LONGEST_PAUSE = 8000;

/** Repeating these changes nothing. */
const SAFE = ['GET', 'HEAD', 'PUT'];

/** A `fetch` for one repository. @throws HfHubHTTPError for every answer without success, and for none */
export function fetchFor(settings: HubSettings, repo: Repo, revision?: string): typeof fetch {
  const { endpoint, token, tokenFrom, offlineBy, answerTimeout } = settings;
  const { origin } = new URL(endpoint);
  return async (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    if (offlineBy !== undefined)
      throw new LocalEntryNotFoundError(`${repo.name}: ${offlineBy} is set, so ${endpoint} is not asked`);
    const headers = new Headers(init.headers);
    headers.set('User-Agent', 'light-peft');
    // `fetch` drops it by itself where a redirect leads to another host.
    if (token !== undefined && new URL(url).origin === origin) headers.set('Authorization', `Bearer ${token}`);
    const tries = SAFE.includes(init.method ?? 'GET') ? RETRIES : 0;
    for (let i = 0; ; i++) {
      // What is sent may take long.
      const limit = init.body ? undefined : answerTimeout;
      const answer = await withinTime(limit, init.signal, (signal) => fetch(url, { ...init, headers, signal })).catch(
        (error: unknown) => error as Error,
      );
      if (answer instanceof Response && answer.ok) return answer;
      if (init.signal?.aborted) throw answer as Error;
      if (i >= tries || !mayPass(answer))
        throw answer instanceof Response
          ? await errorOf(answer, { endpoint, repo, revision, tokenFrom })
          : connectionError(endpoint, repo.name, answer);
      await pause(pauseBefore(settings, i, answer));
    }
  };
}

function mayPass(answer: Response | Error): boolean {
  if (answer instanceof Response) return PASSING.includes(answer.status);
  return !LASTING.test(causeOf(answer));
}

/** Milliseconds; the hub may name them. @param done repetitions so far */
export function pauseBefore({ retryDelay }: HubSettings, done: number, answer?: Response | Error): number {
  const named = answer instanceof Response ? Number(answer.headers.get('Retry-After') ?? NaN) : NaN;
  return Number.isFinite(named) ? 1000 * named : Math.min(retryDelay * 2 ** done, LONGEST_PAUSE);
}

/** The limit ends with the answer's beginning: a body may take long. */
async function withinTime(
  milliseconds: number | undefined,
  outer: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<Response>,
): Promise<Response> {
  if (milliseconds === undefined) return work(outer ?? new AbortController().signal);
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error(`nothing within ${milliseconds / 1000} s`)), milliseconds);
  try {
    return await work(outer ? AbortSignal.any([outer, abort.signal]) : abort.signal);
  } finally {
    clearTimeout(timer);
  }
}
