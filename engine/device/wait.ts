/**
 * Room: engine/device. Waiting for the device without taking its cores. Dawn asks from this thread, turn after turn of the event
 * loop, whether what is waited for has happened; on a software adapter the device computes on the same cores. So the thread
 * sleeps a little in every turn.
 */

/** Milliseconds asleep per turn: how late an answer may be noticed, on a GPU too. */
const SLEEP = 0.25;

const never = new Int32Array(new SharedArrayBuffer(4));

let waiting = 0;

/** Whether a sleep is due: waits that follow each other in one turn share it. */
let due = false;

/** The same promise; until it is settled, this thread sleeps most of the time. */
export async function waitForGpu<T>(promise: Promise<T>): Promise<T> {
  waiting++;
  schedule();
  try {
    return await promise;
  } finally {
    waiting--;
  }
}

function schedule(): void {
  if (due || waiting === 0) return;
  due = true;
  setImmediate(sleepTurn);
}

function sleepTurn(): void {
  due = false;
  if (waiting === 0) return;
  Atomics.wait(never, 0, 0, SLEEP);
  schedule();
}
