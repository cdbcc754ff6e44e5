/** Room: engine/compile. Minimum vertex cut of a small graph, by augmenting paths (Ford & Fulkerson 1956; shortest first). */

/** Vertices are numbers from 0. */
export interface FlowNetwork {
  /** What it costs to cut each vertex; may be Infinity. */
  readonly costs: readonly number[];
  readonly edges: readonly (readonly [from: number, to: number])[];
  readonly sources: readonly number[];
  readonly sinks: readonly number[];
}

interface Arc {
  readonly to: number;
  readonly reverse: Arc;
  capacity: number;
}

/**
 * The cheapest set of vertices that every path from a source to a sink passes; of equally cheap ones the set nearest the sinks.
 * @throws Error where a path has no vertex of finite cost
 */
export function minCut({ costs, edges, sources, sinks }: FlowNetwork): number[] {
  // Vertex v is an arc from 2v to 2v + 1 of its cost.
  const [source, sink] = [2 * costs.length, 2 * costs.length + 1];
  const arcs: Arc[][] = Array.from({ length: sink + 1 }, () => []);
  const connect = (from: number, to: number, capacity: number): void => {
    const forward = { to, capacity } as { -readonly [K in keyof Arc]: Arc[K] };
    const backward: Arc = { to: from, capacity: 0, reverse: forward };
    forward.reverse = backward;
    arcs[from]?.push(forward);
    arcs[to]?.push(backward);
  };
  costs.forEach((cost, v) => connect(2 * v, 2 * v + 1, cost));
  for (const [from, to] of edges) connect(2 * from + 1, 2 * to, Infinity);
  for (const v of sources) connect(source, 2 * v, Infinity);
  for (const v of sinks) connect(2 * v + 1, sink, Infinity);
  for (;;) {
    const path = shortestPath(arcs, source, sink);
    if (!path) break;
    const flow = Math.min(...path.map((arc) => arc.capacity));
    if (flow === Infinity) throw new Error('min-cut: a path cannot be cut');
    for (const arc of path) {
      arc.capacity -= flow;
      arc.reverse.capacity += flow;
    }
  }
  const near = reaching(arcs, sink);
  return costs.flatMap((_, v) => (!near.has(2 * v) && near.has(2 * v + 1) ? [v] : []));
}

function shortestPath(arcs: readonly Arc[][], source: number, sink: number): Arc[] | undefined {
  const by = new Map<number, Arc>();
  const queue = [source];
  for (const at of queue) {
    for (const arc of arcs[at]!) {
      if (arc.capacity === 0 || arc.to === source || by.has(arc.to)) continue;
      by.set(arc.to, arc);
      queue.push(arc.to);
    }
    if (by.has(sink)) break;
  }
  const path: Arc[] = [];
  for (let arc = by.get(sink); arc; arc = by.get(arc.reverse.to)) path.push(arc);
  return path.length > 0 ? path : undefined;
}

/** Vertices from which `sink` can still be reached. */
function reaching(arcs: readonly Arc[][], sink: number): Set<number> {
  const found = new Set([sink]);
  for (const at of found) for (const { to, reverse } of arcs[at]!) if (reverse.capacity > 0) found.add(to);
  return found;
}
