/**
 * Room: engine/compile. Horizontal fusion: products that are alike and read the same tensor, or tensors that lie side by side, become
 * one dispatch. It turns a layer's query, key and value projections into one product, and likewise what their gradients take.
 */
import { isProduct, kindOfProduct } from '../ops/matmul.ts';
import type { Tensor } from '../graph/tensor.ts';
import { areNeighbours, fitsArena } from './neighbours.ts';
import type { TracedGraph } from './graph.ts';
import type { Place } from './place.ts';
import { loadsOf, operandsOf, partsOf, readsOf, type Step } from './step.ts';

/** Tensors that must lie side by side in the arena, in order. */
export type Bundle = readonly Tensor[];

export interface Batched {
  readonly steps: Step[];
  readonly bundles: ReadonlyMap<Tensor, Bundle>;
}

/**
 * @param fixed places of the tensors that lie outside the arena
 */
export function batchSteps(graph: TracedGraph, steps: readonly Step[], fixed: ReadonlyMap<Tensor, Place>): Batched {
  const batching = new Batching(graph, steps, fixed);
  const ordered = [...steps].filter(isBatchable).sort((a, b) => rankOf(graph, a) - rankOf(graph, b));
  for (const step of ordered) batching.batch(step);
  return batching;
}

function rankOf(graph: TracedGraph, { anchor }: Step): number {
  return anchor ? graph.rank(anchor) : -1;
}

function isBatchable(step: Step): boolean {
  return isProduct(step.anchor) && step.outputs.length === 1 && partsOf(step) === 1;
}

class Batching implements Batched {
  steps: Step[];
  readonly bundles = new Map<Tensor, Bundle>();
  readonly #graph: TracedGraph;
  readonly #fixed: ReadonlyMap<Tensor, Place>;
  readonly #keys: ReadonlyMap<Step, string>;

  constructor(graph: TracedGraph, steps: readonly Step[], fixed: ReadonlyMap<Tensor, Place>) {
    this.#graph = graph;
    this.steps = [...steps];
    this.#fixed = fixed;
    for (const step of steps.filter((s) => partsOf(s) > 1)) this.#bundleParts(step);
    this.#keys = new Map(steps.filter(isBatchable).map((step) => [step, this.#keyOf(step)]));
  }

  #bundleParts(step: Step): void {
    const operands = operandsOf(this.#graph, step);
    const each = operands.length / partsOf(step);
    for (let i = 0; i < each; i++) this.#bundle(operands.filter((_, at) => at % each === i));
  }

  #bundle(roots: readonly Tensor[]): void {
    if (!this.#fixed.has(roots[0] as Tensor)) for (const root of roots) this.bundles.set(root, roots);
  }

  /** Replaces `step` and those that can run with it by one, if there are some. */
  batch(step: Step): void {
    const alike = this.steps.filter((other) => this.#keys.get(other) === this.#keys.get(step));
    if (!alike.includes(step)) return;
    const members = this.#sorted(alike.filter((other) => other === step || this.#areSiblings(step, other)));
    if (members.length < 2) return;
    const rows = members.map((member) => this.#boundBy(member));
    const columns = rows[0]!.map((_, i) => rows.map((row) => row[i] as Tensor));
    const outputs = members.map(({ outputs: [output] }) => output as Tensor);
    const isShared = (roots: readonly Tensor[]): boolean => roots.every((root) => root === roots[0]);
    if (!columns.every((roots, i) => (isShared(roots) ? this.#mayBeShared(step, i) : this.#canLieTogether(roots))))
      return;
    if (!this.#canLieTogether(outputs)) return;
    if (this.#waitForEachOther(members)) return;
    const each = columns.map((roots) => !isShared(roots));
    for (const roots of [...columns.filter((_, i) => each[i]), outputs]) this.#bundle(roots);
    const batched: Step = { ...(members[0] as Step), outputs, batch: { members, each } };
    this.steps = this.steps.flatMap((s) => (s === members[0] ? [batched] : members.includes(s) ? [] : [s]));
  }

  /** What must agree for two steps to have the same kernel: sizes, elementwise work, and how it reads its operands. */
  #keyOf(step: Step): string {
    const { anchor, body } = step;
    const types = this.#boundBy(step).map(({ dtype, size }) => `${dtype} ${size}`);
    const index = new Map([anchor!, ...body].map((node, i) => [node, i]));
    const loads = loadsOf(this.#graph, step);
    const work = body.map((node) => {
      const inputs = node.inputs.map((input) => {
        const root = this.#graph.root(input);
        return index.get(root.node) ?? `x${loads.findIndex((load) => load.root === root)}`;
      });
      return [node.op.name, node.attrs ?? '', inputs];
    });
    const patterns = loads.map(({ inner, count }) => [inner, count]);
    return JSON.stringify([isProduct(anchor) && kindOfProduct(anchor.attrs), types, work, patterns]);
  }

  #boundBy(step: Step): Tensor[] {
    return [...operandsOf(this.#graph, step), ...loadsOf(this.#graph, step).map((load) => load.root)];
  }

  /** Whether two steps read the same operand, or operands that lie side by side already: what else would lie idle in memory? */
  #areSiblings(a: Step, b: Step): boolean {
    const others = operandsOf(this.#graph, b);
    return operandsOf(this.#graph, a).some((root, i) => {
      const other = others[i] as Tensor;
      const bundle = this.bundles.get(root);
      return (
        (root === other && !this.#isResident(root)) || (bundle !== undefined && bundle === this.bundles.get(other))
      );
    });
  }

  #isResident(root: Tensor): boolean {
    return this.#fixed.get(root)?.kind === 'resident';
  }

  /** In the order in which what they read or write lies in memory already. */
  #sorted(members: readonly Step[]): Step[] {
    const placesOf = (member: Step): number[] =>
      [...operandsOf(this.#graph, member), ...member.outputs].map((root) => {
        const place = this.#fixed.get(root);
        return place?.kind === 'resident' ? place.storage.offset : (this.bundles.get(root)?.indexOf(root) ?? 0);
      });
    const byPlace = (a: Step, b: Step): number => {
      const [left, right] = [placesOf(a), placesOf(b)];
      return left.map((place, i) => place - right[i]!).find((difference) => difference !== 0) ?? 0;
    };
    return [...members].sort(byPlace);
  }

  /** An operand may be shared; of what is read beside the result only numbers are. */
  #mayBeShared(step: Step, i: number): boolean {
    const load = loadsOf(this.#graph, step)[i - operandsOf(this.#graph, step).length];
    return !load || load.count === 1;
  }

  /** Whether tensors are, or can be put, side by side without gaps. */
  #canLieTogether(roots: readonly Tensor[]): boolean {
    if (new Set(roots).size !== roots.length) return false;
    const places = roots.map((root) => this.#fixed.get(root));
    if (places.some((place) => place !== undefined))
      return areNeighbours(places.map((place) => (place?.kind === 'resident' ? place.storage : undefined)));
    const bundle = this.bundles.get(roots[0] as Tensor);
    if (bundle) return roots.length === bundle.length && roots.every((root, i) => root === bundle[i]);
    return roots.every((root) => fitsArena(root) && !this.bundles.has(root));
  }

  /** Whether one of them reads, through any number of other steps, what another writes. */
  #waitForEachOther(members: readonly Step[]): boolean {
    const writers = new Map(this.steps.flatMap((s) => s.outputs.map((output) => [output, s] as const)));
    const seen = new Set<Step>();
    const stack = [...members];
    while (stack.length > 0) {
      for (const root of readsOf(this.#graph, stack.pop() as Step)) {
        const next = writers.get(root);
        if (next && members.includes(next)) return true;
        if (!next || seen.has(next)) continue;
        seen.add(next);
        stack.push(next);
      }
    }
    return false;
  }
}
