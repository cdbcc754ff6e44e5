/**
 * Room: engine/compile. Fusion: partitions the graph into steps, each one kernel. Elementwise nodes join the step that reads
 * them, then whole steps join the product or elementwise step that feeds them.
 */
import { constantValue } from '../ops/elementwise.ts';
import type { Node, Tensor } from '../graph/tensor.ts';
import { packOf, type TracedGraph } from './graph.ts';
import { loadsOf, operandsOf, partsOf, spaceOf, takes, type Step } from './step.ts';

export function fuse(graph: TracedGraph, maxBindings: number): Step[] {
  return new Fusion(graph, maxBindings).run();
}

class Fusion {
  readonly #graph: TracedGraph;
  readonly #maxBindings: number;
  readonly #kept: Set<Tensor>;
  /** Steps a node is part of; a constant may be part of many. */
  readonly #stepsOf = new Map<Node, Set<Step>>();
  #steps: Step[] = [];

  constructor(graph: TracedGraph, maxBindings: number) {
    this.#graph = graph;
    this.#maxBindings = maxBindings;
    this.#kept = new Set([...graph.kept(), ...graph.saved()]);
  }

  run(): Step[] {
    for (const node of [...this.#graph.nodes].reverse()) this.#place(node);
    this.#steps.reverse();
    for (const step of [...this.#steps]) this.#joinProducers(step);
    for (const step of [...this.#steps]) this.#joinSiblings(step);
    return this.#steps;
  }

  #place(node: Node): void {
    const { kind } = node.op.lowering;
    if (kind === 'leaf' || kind === 'view') return;
    const readers = kind === 'elementwise' ? this.#readers(node) : undefined;
    if (readers && (readers.size === 1 || this.#isFree(node)) && this.#joinReaders(node, readers)) return;
    const step: Step =
      kind === 'elementwise'
        ? { body: [node], outputs: [node.outputs[0] as Tensor] }
        : { anchor: node, body: [], outputs: [...node.outputs] };
    this.#steps.push(step);
    this.#stepsOf.set(node, new Set([step]));
  }

  /** The steps that could compute `node` for themselves, or undefined where its value must be in memory. */
  #readers(node: Node): Set<Step> | undefined {
    const output = node.outputs[0] as Tensor;
    if (this.#kept.has(output)) return undefined;
    const readers = new Set<Step>();
    for (const user of this.#graph.users(output)) {
      if (packOf(user.outputs[0] as Tensor)) return undefined;
      const prologue = takes(user) === 'prologue';
      if (user.op.lowering.kind !== 'elementwise' && !prologue) return undefined;
      const space = prologue ? (user.inputs[0] as Tensor).size : (user.outputs[0] as Tensor).size;
      if (output.size !== space && output.size !== 1) return undefined;
      for (const step of this.#stepsOf.get(user) ?? []) readers.add(step);
    }
    return readers;
  }

  /** Costs nothing to compute again: a number, or the same element under another shape. */
  #isFree(node: Node): boolean {
    return constantValue(node.outputs[0] as Tensor) !== undefined || node.op.name === 'expand';
  }

  #joinReaders(node: Node, readers: Set<Step>): boolean {
    const joined = [...readers].map((step) => ({ step, body: [node, ...step.body] }));
    if (!joined.every(({ step, body }) => this.#isLegal({ ...step, body }))) return false;
    for (const { step, body } of joined) step.body = body;
    this.#stepsOf.set(node, readers);
    return true;
  }

  /** Bindings fit, and no buffer would be bound twice. */
  #isLegal(step: Step): boolean {
    const bound = [...loadsOf(this.#graph, step).map((load) => load.root), ...operandsOf(this.#graph, step)];
    if (new Set(bound).size !== bound.length) return false;
    const parts = operandsOf(this.#graph, step).length * (1 - 1 / partsOf(step));
    return bound.length - parts + step.outputs.length <= this.#maxBindings;
  }

  /** Appends an elementwise step to the step that produces one of its inputs, as long as one will take it. */
  #joinProducers(step: Step): void {
    if (step.anchor) return;
    let current = step;
    for (;;) {
      const producer = this.#producers(current).find((p) => this.#tryJoin(p, current));
      if (!producer) return;
      current = producer;
      if (current.anchor) return;
    }
  }

  #producers(step: Step): Step[] {
    const space = spaceOf(step);
    const full = loadsOf(this.#graph, step).filter((load) => load.inner === 1 && load.count === space);
    const producers = full.flatMap((load) => [...(this.#stepsOf.get(load.root.node) ?? [])]);
    const repeats = this.#repeats(step);
    const fitting = producers.filter(
      (p) =>
        p !== step &&
        (p.anchor ? takes(p.anchor) === 'epilogue' : spaceOf(p) === space) &&
        (!repeats || this.#repeats(p)),
    );
    return fitting.sort(
      (a, b) => Number(b.anchor !== undefined) - Number(a.anchor !== undefined) || this.#last(b) - this.#last(a),
    );
  }

  /**
   * Lets a later step that reads the same tensor compute again what `step` would, where it does not wait for that itself. The tensor
   * must be of the type that is computed: one of the two results then takes over its memory, else both would be held beside it.
   */
  #joinSiblings(step: Step): void {
    if (step.anchor || !step.body.every((node) => this.#graph.isRepeat(node))) return;
    const space = spaceOf(step);
    const wholeOf = (s: Step): Tensor[] =>
      loadsOf(this.#graph, s).flatMap(({ root, inner, count }) => (inner === 1 && count === space ? [root] : []));
    const { dtype } = step.outputs[0] as Tensor;
    const whole = wholeOf(step).filter((root) => root.dtype === dtype);
    const siblings = this.#steps.filter(
      (s) =>
        (s.anchor ? takes(s.anchor) === 'epilogue' : true) &&
        spaceOf(s) === space &&
        this.#last(s) > this.#last(step) &&
        wholeOf(s).some((root) => whole.includes(root)) &&
        !this.#inputSteps(s).includes(step) &&
        !this.#reaches(step, s),
    );
    siblings.sort((a, b) => this.#last(a) - this.#last(b)).some((sibling) => this.#tryJoin(sibling, step));
  }

  /** Whether a step computes something again: in a step that does not, it would be computed too early and kept. */
  #repeats(step: Step): boolean {
    return [...step.body, ...(step.anchor ? [step.anchor] : [])].some((node) => this.#graph.isRepeat(node));
  }

  #last(step: Step): number {
    return Math.max(...[...step.body, ...(step.anchor ? [step.anchor] : [])].map((node) => this.#graph.rank(node)));
  }

  #tryJoin(producer: Step, step: Step): boolean {
    if (this.#reaches(producer, step)) return false;
    const body = [...new Set([...producer.body, ...step.body])].sort(
      (a, b) => this.#graph.rank(a) - this.#graph.rank(b),
    );
    const merged: Step = { ...producer, body, outputs: [] };
    const members = new Set<Node>([...body, ...(producer.anchor ? [producer.anchor] : [])]);
    merged.outputs = [...producer.outputs, ...step.outputs].filter((output) => this.#isReadOutside(output, members));
    if (!this.#isLegal(merged)) return false;
    Object.assign(producer, merged);
    for (const node of step.body) {
      const steps = this.#stepsOf.get(node);
      steps?.delete(step);
      steps?.add(producer);
    }
    this.#steps = this.#steps.filter((s) => s !== step);
    return true;
  }

  #isReadOutside(output: Tensor, members: Set<Node>): boolean {
    if (this.#kept.has(output)) return true;
    return this.#graph.users(output).some((user) => !members.has(user) || (this.#stepsOf.get(user)?.size ?? 1) > 1);
  }

  /** Whether something `step` reads, other than from `producer` itself, waits for `producer`: joining them would be a cycle. */
  #reaches(producer: Step, step: Step): boolean {
    const seen = new Set<Step>([step]);
    const stack = this.#inputSteps(step).filter((s) => s !== producer);
    for (const start of stack) seen.add(start);
    while (stack.length > 0) {
      for (const input of this.#inputSteps(stack.pop() as Step)) {
        if (input === producer) return true;
        if (!seen.has(input)) {
          seen.add(input);
          stack.push(input);
        }
      }
    }
    return false;
  }

  #inputSteps(step: Step): Step[] {
    const roots = [...loadsOf(this.#graph, step).map((load) => load.root), ...operandsOf(this.#graph, step)];
    return roots.flatMap((root) => this.#producersOf(root));
  }

  #producersOf(root: Tensor): Step[] {
    if (packOf(root)) return root.node.inputs.flatMap((part) => this.#producersOf(this.#graph.root(part)));
    for (const step of this.#stepsOf.get(root.node) ?? []) if (step.outputs.includes(root)) return [step];
    return [];
  }
}
