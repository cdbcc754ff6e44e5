/**
 * Room: engine/compile. Fusion: partitions the graph into groups, each one kernel. Elementwise nodes join the group that reads
 * them, then whole groups join the product or elementwise group that feeds them.
 */
import { constantValue } from '../ops/elementwise.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import { packOf, type TracedGraph } from './graph.ts';
import { boundBy, loadsOf, nodesOf, operandsOf, partsOf, spaceOf, takes, type FusionGroup } from './fusion-group.ts';

export function fuse(graph: TracedGraph, maxBindings: number): FusionGroup[] {
  return new Fusion(graph, maxBindings).run();
}

class Fusion {
  readonly #graph: TracedGraph;
  readonly #maxBindings: number;
  readonly #kept: Set<Tensor>;
  /** Fusion groups a node is part of; a constant may be part of many. */
  readonly #groupsOf = new Map<Node, Set<FusionGroup>>();
  #groups: FusionGroup[] = [];

  constructor(graph: TracedGraph, maxBindings: number) {
    this.#graph = graph;
    this.#maxBindings = maxBindings;
    this.#kept = new Set([...graph.kept(), ...graph.saved()]);
  }

  run(): FusionGroup[] {
    for (const node of [...this.#graph.nodes].reverse()) this.#place(node);
    this.#groups.reverse();
    for (const group of [...this.#groups]) this.#joinProducers(group);
    for (const group of [...this.#groups]) this.#joinSiblings(group);
    return this.#groups;
  }

  #place(node: Node): void {
    const { kind } = node.op.lowering;
    if (kind === 'leaf' || kind === 'view') return;
    const readers = kind === 'elementwise' ? this.#readers(node) : undefined;
    if (readers && (readers.size === 1 || this.#isFree(node)) && this.#joinReaders(node, readers)) return;
    const group: FusionGroup =
      kind === 'elementwise'
        ? { body: [node], outputs: [node.outputs[0]!] }
        : { anchor: node, body: [], outputs: [...node.outputs] };
    this.#groups.push(group);
    this.#groupsOf.set(node, new Set([group]));
  }

  /** The groups that could compute `node` for themselves, or undefined where its value must be in memory. */
  #readers(node: Node): Set<FusionGroup> | undefined {
    const output = node.outputs[0]!;
    if (this.#kept.has(output)) return undefined;
    const readers = new Set<FusionGroup>();
    for (const user of this.#graph.users(output)) {
      if (packOf(user.outputs[0]!)) return undefined;
      const prologue = takes(user) === 'prologue';
      if (user.op.lowering.kind !== 'elementwise' && !prologue) return undefined;
      const space = prologue ? user.inputs[0]!.size : user.outputs[0]!.size;
      if (output.size !== space && output.size !== 1) return undefined;
      for (const group of this.#groupsOf.get(user) ?? []) readers.add(group);
    }
    return readers;
  }

  /** Costs nothing to compute again: a number, or the same element under another shape. */
  #isFree(node: Node): boolean {
    return constantValue(node.outputs[0]!) !== undefined || node.op.name === 'expand';
  }

  #joinReaders(node: Node, readers: Set<FusionGroup>): boolean {
    const joined = [...readers].map((group) => ({ group, body: [node, ...group.body] }));
    if (!joined.every(({ group, body }) => this.#isLegal({ ...group, body }))) return false;
    for (const { group, body } of joined) group.body = body;
    this.#groupsOf.set(node, readers);
    return true;
  }

  /** Bindings fit, and no buffer would be bound twice. */
  #isLegal(group: FusionGroup): boolean {
    const bound = boundBy(this.#graph, group);
    if (new Set(bound).size !== bound.length) return false;
    const parts = operandsOf(this.#graph, group).length * (1 - 1 / partsOf(group));
    return bound.length - parts + group.outputs.length <= this.#maxBindings;
  }

  /** Appends an elementwise group to the group that produces one of its inputs, as long as one will take it. */
  #joinProducers(group: FusionGroup): void {
    if (group.anchor) return;
    let current = group;
    for (;;) {
      const producer = this.#producers(current).find((p) => this.#tryJoin(p, current));
      if (!producer) return;
      current = producer;
      if (current.anchor) return;
    }
  }

  #producers(group: FusionGroup): FusionGroup[] {
    const space = spaceOf(group);
    const full = loadsOf(this.#graph, group).filter((load) => load.inner === 1 && load.count === space);
    const producers = full.flatMap((load) => [...(this.#groupsOf.get(load.root.node) ?? [])]);
    const repeats = this.#repeats(group);
    const fitting = producers.filter(
      (p) =>
        p !== group &&
        (p.anchor ? takes(p.anchor) === 'epilogue' : spaceOf(p) === space) &&
        (!repeats || this.#repeats(p)),
    );
    return fitting.sort(
      (a, b) => Number(b.anchor !== undefined) - Number(a.anchor !== undefined) || this.#last(b) - this.#last(a),
    );
  }

  /**
   * Lets a later group that reads the same tensor compute again what `group` would, where it does not wait for that itself. The tensor
   * must be of the type that is computed: one of the two results then takes over its memory, else both would be held beside it.
   */
  #joinSiblings(group: FusionGroup): void {
    if (group.anchor || !group.body.every((node) => this.#graph.isRepeat(node))) return;
    const space = spaceOf(group);
    const wholeOf = (g: FusionGroup): Tensor[] =>
      loadsOf(this.#graph, g).flatMap(({ root, inner, count }) => (inner === 1 && count === space ? [root] : []));
    const { dtype } = group.outputs[0]!;
    const whole = wholeOf(group).filter((root) => root.dtype === dtype);
    const siblings = this.#groups.filter(
      (g) =>
        (g.anchor ? takes(g.anchor) === 'epilogue' : true) &&
        spaceOf(g) === space &&
        this.#last(g) > this.#last(group) &&
        wholeOf(g).some((root) => whole.includes(root)) &&
        !this.#inputGroups(g).includes(group) &&
        !this.#reaches(group, g),
    );
    siblings.sort((a, b) => this.#last(a) - this.#last(b)).some((sibling) => this.#tryJoin(sibling, group));
  }

  /** Whether a group computes something again: in a group that does not, it would be computed too early and kept. */
  #repeats(group: FusionGroup): boolean {
    return nodesOf(group).some((node) => this.#graph.isRepeat(node));
  }

  #last(group: FusionGroup): number {
    return Math.max(...nodesOf(group).map((node) => this.#graph.rank(node)));
  }

  #tryJoin(producer: FusionGroup, group: FusionGroup): boolean {
    if (this.#reaches(producer, group)) return false;
    const body = [...new Set([...producer.body, ...group.body])].sort(
      (a, b) => this.#graph.rank(a) - this.#graph.rank(b),
    );
    const merged: FusionGroup = { ...producer, body, outputs: [] };
    const members = new Set(nodesOf(merged));
    merged.outputs = [...producer.outputs, ...group.outputs].filter((output) => this.#isReadOutside(output, members));
    if (!this.#isLegal(merged)) return false;
    Object.assign(producer, merged);
    for (const node of group.body) {
      const groups = this.#groupsOf.get(node);
      groups?.delete(group);
      groups?.add(producer);
    }
    this.#groups = this.#groups.filter((g) => g !== group);
    return true;
  }

  #isReadOutside(output: Tensor, members: Set<Node>): boolean {
    if (this.#kept.has(output)) return true;
    return this.#graph.users(output).some((user) => !members.has(user) || (this.#groupsOf.get(user)?.size ?? 1) > 1);
  }

  /** Whether something `group` reads, other than from `producer` itself, waits for `producer`: joining them would be a cycle. */
  #reaches(producer: FusionGroup, group: FusionGroup): boolean {
    const seen = new Set<FusionGroup>([group]);
    const stack = this.#inputGroups(group).filter((g) => g !== producer);
    for (const start of stack) seen.add(start);
    while (stack.length > 0) {
      for (const input of this.#inputGroups(stack.pop()!)) {
        if (input === producer) return true;
        if (!seen.has(input)) {
          seen.add(input);
          stack.push(input);
        }
      }
    }
    return false;
  }

  #inputGroups(group: FusionGroup): FusionGroup[] {
    return boundBy(this.#graph, group).flatMap((root) => this.#producersOf(root));
  }

  #producersOf(root: Tensor): FusionGroup[] {
    if (packOf(root)) return root.node.inputs.flatMap((part) => this.#producersOf(this.#graph.root(part)));
    for (const group of this.#groupsOf.get(root.node) ?? []) if (group.outputs.includes(root)) return [group];
    return [];
  }
}
