/**
 * Room: engine/compile. The part of the graph behind some results, with views seen through: who produces a value, who reads
 * it, in which order. Rewrites replace values here; the recorded graph itself never changes.
 */
import { packOp, type PackAttrs } from '../ops/pack.ts';
import type { Resident } from '../ops/leaf.ts';
import { markScope } from '../graph/scope.ts';
import { attrsOf, type Node, type Tensor } from '../graph/tensor.ts';

/** New data for resident memory, stored when the program runs. */
export interface Update {
  readonly target: Resident;
  readonly value: Tensor;
}

/** A value must exist in memory when the program ends. */
export interface Results {
  readonly outputs: readonly Tensor[];
  readonly updates: readonly Update[];
}

export class TracedGraph {
  readonly results: Results;
  readonly #replaced = new Map<Tensor, Tensor>();
  #nodes: Node[] = [];
  #users = new Map<Tensor, Node[]>();
  #rank = new Map<Node, number>();

  constructor(results: Results) {
    this.results = results;
    this.refresh();
  }

  /** Nodes in execution order, views left out. */
  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  /** The tensor whose bytes `tensor` is: through views and replacements. */
  root(tensor: Tensor): Tensor {
    let t = tensor;
    for (;;) {
      const replacement = this.#replaced.get(t);
      if (replacement) t = replacement;
      else if (t.node.op.lowering.kind === 'view' && !packOf(t)) t = t.node.inputs[0]!;
      else return t;
    }
  }

  /** Nodes that read a root tensor, once each. */
  users(root: Tensor): readonly Node[] {
    return this.#users.get(root) ?? [];
  }

  /** Whether computing `node` takes the value of `source`, directly or through others. */
  isBehind(source: Node, node: Node): boolean {
    const seen = new Set<Node>([node]);
    const stack = [node];
    while (stack.length > 0) {
      for (const input of stack.pop()!.inputs.map((t) => this.root(t).node)) {
        if (input === source) return true;
        if (seen.has(input) || this.rank(input) < this.rank(source)) continue;
        seen.add(input);
        stack.push(input);
      }
    }
    return false;
  }

  /** Position in the execution order. */
  rank(node: Node): number {
    return this.#rank.get(node) ?? -1;
  }

  /** Root tensors that must be in memory when the program ends. */
  kept(): Set<Tensor> {
    const kept = [...this.results.outputs, ...this.results.updates.map((u) => u.value)];
    return new Set(kept.map((t) => this.root(t)));
  }

  /** Lets every reader of `from` read `to`; call `refresh` when a batch of replacements is complete. */
  replace(from: Tensor, to: Tensor): void {
    this.#replaced.set(from, to);
  }

  /** Recomputes nodes, order and users after replacements. */
  refresh(): void {
    this.#nodes = [];
    this.#users = new Map();
    this.#rank = new Map();
    const visited = new Set<Node>();
    const stack = [...this.kept()].map((t) => ({ node: t.node, entered: false })).reverse();
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      if (visited.has(top.node)) {
        stack.pop();
      } else if (top.entered) {
        stack.pop();
        visited.add(top.node);
        this.#nodes.push(top.node);
      } else {
        top.entered = true;
        const inputs = top.node.inputs.map((t) => this.root(t).node).filter((n) => !visited.has(n));
        stack.push(...inputs.map((node) => ({ node, entered: false })).reverse());
      }
    }
    this.#order();
  }

  /** Recording order, which follows the program's text; replacements made later stand where they are first needed. */
  #order(): void {
    const key = new Map<Node, number>();
    this.#nodes.forEach((node, i) => key.set(node, i));
    const recorded = new Map<Node, number>();
    for (const node of this.#nodes) {
      const inputs = node.inputs.map((t) => recorded.get(this.root(t).node) ?? 0);
      recorded.set(node, Math.max(this.#position(node), ...inputs.map((i) => i + 1e-6)));
    }
    this.#nodes.sort((a, b) => recorded.get(a)! - recorded.get(b)! || key.get(a)! - key.get(b)!);
    this.#nodes.forEach((node, i) => {
      this.#rank.set(node, i);
      for (const root of new Set(node.inputs.map((t) => this.root(t)))) {
        const users = this.#users.get(root);
        if (users) users.push(node);
        else this.#users.set(root, [node]);
      }
    });
  }

  readonly #standsFor = new Map<Node, number>();

  #position(node: Node): number {
    return this.#standsFor.get(node) ?? node.id;
  }

  /**
   * Orders a replacement node as if it had been recorded where `original` was; of a repeat it is one too.
   * @param all the nodes whose work it does
   */
  standIn(node: Node, original: Node, all: readonly Node[] = [original]): void {
    this.#standsFor.set(node, this.#position(original));
    this.#scopes.set(node, [...new Set(all.flatMap((one) => this.scopesOf(one)))]);
    if (this.#repeats.has(original)) this.#repeats.add(node);
  }

  readonly #scopes = new Map<Node, readonly string[]>();

  /** Where what a node computes was recorded; see `namedScope`. */
  scopesOf(node: Node): readonly string[] {
    return this.#scopes.get(node) ?? [node.scope];
  }

  readonly #repeats = new Set<Node>();
  readonly #saved: Tensor[] = [];

  /** Notes that `tensor` is saved for the backward pass: it is to be written by the forward pass. */
  save(tensor: Tensor): void {
    this.#saved.push(tensor);
  }

  /** Root tensors saved for the backward pass. */
  saved(): Set<Tensor> {
    return new Set(this.#saved.map((tensor) => this.root(tensor)));
  }

  /** Notes that `node` computes again what `original` has computed before, to be run no earlier than `reader` needs it. */
  repeat(node: Node, original: Node, reader: Node): void {
    this.standIn(node, reader);
    this.#scopes.set(
      node,
      this.scopesOf(original).map((scope) => markScope('recompute', scope)),
    );
    this.#repeats.add(node);
  }

  /** Whether a node computes again what an earlier one has computed. */
  isRepeat(node: Node): boolean {
    return this.#repeats.has(node);
  }
}

/** Where a packed tensor lies, if `tensor` is one. */
export function packOf(tensor: Tensor): PackAttrs | undefined {
  return attrsOf(packOp, tensor.node);
}
