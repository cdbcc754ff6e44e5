/**
 * Room: engine/compile. Horizontal fusion: products that are alike and read the same tensor, or tensors that lie side by side, become
 * one dispatch. It turns a layer's query, key and value projections into one product, and likewise what their gradients take.
 */
import { isProduct, kindOfProduct } from '../ops/matmul.ts';
import type { Tensor } from '../graph/tensor.ts';
import { areContiguous, fitBinding, fitsArena } from './contiguous.ts';
import type { TracedGraph } from './graph.ts';
import type { Place } from './place.ts';
import { loadsOf, operandsOf, partsOf, readsOf, type FusionGroup } from './fusion-group.ts';

/** Tensors that must lie side by side in the arena, in order. */
export type ContiguousGroup = readonly Tensor[];

export interface Batched {
  readonly groups: FusionGroup[];
  readonly contiguous: ReadonlyMap<Tensor, ContiguousGroup>;
}

/**
 * @param fixed places of the tensors that lie outside the arena
 * @param limit bytes of the largest binding
 */
export function fuseHorizontally(
  graph: TracedGraph,
  groups: readonly FusionGroup[],
  fixed: ReadonlyMap<Tensor, Place>,
  limit: number,
): Batched {
  const batching = new HorizontalFusion(graph, groups, fixed, limit);
  const ordered = [...groups].filter(isFusable).sort((a, b) => rankOf(graph, a) - rankOf(graph, b));
  for (const group of ordered) batching.batch(group);
  return batching;
}

function rankOf(graph: TracedGraph, { anchor }: FusionGroup): number {
  return anchor ? graph.rank(anchor) : -1;
}

function isFusable(group: FusionGroup): boolean {
  return isProduct(group.anchor) && group.outputs.length === 1 && partsOf(group) === 1;
}

class HorizontalFusion implements Batched {
  groups: FusionGroup[];
  readonly contiguous = new Map<Tensor, ContiguousGroup>();
  readonly #graph: TracedGraph;
  readonly #fixed: ReadonlyMap<Tensor, Place>;
  readonly #limit: number;
  readonly #keys: ReadonlyMap<FusionGroup, string>;

  constructor(graph: TracedGraph, groups: readonly FusionGroup[], fixed: ReadonlyMap<Tensor, Place>, limit: number) {
    this.#graph = graph;
    this.groups = [...groups];
    this.#fixed = fixed;
    this.#limit = limit;
    for (const group of groups.filter((s) => partsOf(s) > 1)) this.#keepPartsContiguous(group);
    this.#keys = new Map(groups.filter(isFusable).map((group) => [group, this.#keyOf(group)]));
  }

  #keepPartsContiguous(group: FusionGroup): void {
    const operands = operandsOf(this.#graph, group);
    const each = operands.length / partsOf(group);
    for (let i = 0; i < each; i++) this.#keepContiguous(operands.filter((_, at) => at % each === i));
  }

  #keepContiguous(roots: readonly Tensor[]): void {
    if (!this.#fixed.has(roots[0]!)) for (const root of roots) this.contiguous.set(root, roots);
  }

  /** Replaces `group` and those that can run with it by one, if there are some. */
  batch(group: FusionGroup): void {
    const alike = this.groups.filter((other) => this.#keys.get(other) === this.#keys.get(group));
    if (!alike.includes(group)) return;
    const members = this.#sorted(alike.filter((other) => other === group || this.#areSiblings(group, other)));
    if (members.length < 2) return;
    const rows = members.map((member) => this.#boundBy(member));
    const columns = rows[0]!.map((_, i) => rows.map((row) => row[i]!));
    const outputs = members.map(({ outputs: [output] }) => output!);
    const isShared = (roots: readonly Tensor[]): boolean => roots.every((root) => root === roots[0]);
    if (!columns.every((roots, i) => (isShared(roots) ? this.#mayBeShared(group, i) : this.#canLieTogether(roots))))
      return;
    if (!this.#canLieTogether(outputs)) return;
    if (this.#waitForEachOther(members)) return;
    const each = columns.map((roots) => !isShared(roots));
    for (const roots of [...columns.filter((_, i) => each[i]), outputs]) this.#keepContiguous(roots);
    const batched: FusionGroup = { ...members[0]!, outputs, batch: { members, each } };
    this.groups = this.groups.flatMap((s) => (s === members[0] ? [batched] : members.includes(s) ? [] : [s]));
  }

  /** What must agree for two groups to have the same kernel: sizes, elementwise work, and how it reads its operands. */
  #keyOf(group: FusionGroup): string {
    const { anchor, body } = group;
    const types = this.#boundBy(group).map(({ dtype, size }) => `${dtype} ${size}`);
    const index = new Map([anchor!, ...body].map((node, i) => [node, i]));
    const loads = loadsOf(this.#graph, group);
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

  #boundBy(group: FusionGroup): Tensor[] {
    return [...operandsOf(this.#graph, group), ...loadsOf(this.#graph, group).map((load) => load.root)];
  }

  /** Whether two groups read the same operand, or operands that lie side by side already: what else would lie idle in memory? */
  #areSiblings(a: FusionGroup, b: FusionGroup): boolean {
    const others = operandsOf(this.#graph, b);
    return operandsOf(this.#graph, a).some((root, i) => {
      const other = others[i]!;
      const contiguousWith = this.contiguous.get(root);
      return (
        (root === other && !this.#isResident(root)) ||
        (contiguousWith !== undefined && contiguousWith === this.contiguous.get(other))
      );
    });
  }

  #isResident(root: Tensor): boolean {
    return this.#fixed.get(root)?.kind === 'resident';
  }

  /** In the order in which what they read or write lies in memory already. */
  #sorted(members: readonly FusionGroup[]): FusionGroup[] {
    const placesOf = (member: FusionGroup): number[] =>
      [...operandsOf(this.#graph, member), ...member.outputs].map((root) => {
        const place = this.#fixed.get(root);
        return place?.kind === 'resident' ? place.storage.offset : (this.contiguous.get(root)?.indexOf(root) ?? 0);
      });
    const byPlace = (a: FusionGroup, b: FusionGroup): number => {
      const [left, right] = [placesOf(a), placesOf(b)];
      return left.map((place, i) => place - right[i]!).find((difference) => difference !== 0) ?? 0;
    };
    return [...members].sort(byPlace);
  }

  /** An operand may be shared; of what is read beside the result only numbers are. */
  #mayBeShared(group: FusionGroup, i: number): boolean {
    const load = loadsOf(this.#graph, group)[i - operandsOf(this.#graph, group).length];
    return !load || load.count === 1;
  }

  /** Whether tensors are, or can be put, side by side without gaps, in one binding. */
  #canLieTogether(roots: readonly Tensor[]): boolean {
    if (new Set(roots).size !== roots.length || !fitBinding(roots, this.#limit)) return false;
    const places = roots.map((root) => this.#fixed.get(root));
    if (places.some((place) => place !== undefined))
      return areContiguous(places.map((place) => (place?.kind === 'resident' ? place.storage : undefined)));
    const contiguousWith = this.contiguous.get(roots[0]!);
    if (contiguousWith)
      return roots.length === contiguousWith.length && roots.every((root, i) => root === contiguousWith[i]);
    return roots.every((root) => fitsArena(root) && !this.contiguous.has(root));
  }

  /** Whether one of them reads, through any number of other groups, what another writes. */
  #waitForEachOther(members: readonly FusionGroup[]): boolean {
    const writers = new Map(this.groups.flatMap((s) => s.outputs.map((output) => [output, s] as const)));
    const seen = new Set<FusionGroup>();
    const stack = [...members];
    while (stack.length > 0) {
      for (const root of readsOf(this.#graph, stack.pop()!)) {
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
