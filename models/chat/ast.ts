/** Room: models/chat. The syntax tree of a chat template, as `@huggingface/jinja` parses it. Types alone. */

interface Token {
  readonly value: string;
}

type Literal<Type extends string, T> = { readonly type: Type; readonly value: T };

export type Identifier = Literal<'Identifier', string>;
export type CallExpression = {
  readonly type: 'CallExpression';
  readonly callee: Expression;
  readonly args: readonly Argument[];
};
export type Keyword = {
  readonly type: 'KeywordArgumentExpression';
  readonly key: Identifier;
  readonly value: Expression;
};
export type Argument =
  | Expression
  | Keyword
  | { readonly type: 'SpreadExpression'; readonly argument: Expression }
  | { readonly type: 'KeywordSpreadExpression'; readonly argument: Expression };
export type Slice = {
  readonly type: 'SliceExpression';
  readonly start?: Expression;
  readonly stop?: Expression;
  readonly step?: Expression;
};
export type Parameter = Identifier | Keyword;
/** `a if b`, also the condition of a loop. */
export type Select = { readonly type: 'SelectExpression'; readonly lhs: Expression; readonly test: Expression };
export type Target =
  | Identifier
  | Literal<'TupleLiteral', readonly Expression[]>
  | { readonly type: 'MemberExpression'; readonly object: Expression; readonly property: Expression };

export type Expression =
  | Identifier
  | CallExpression
  | Select
  | Literal<'IntegerLiteral' | 'FloatLiteral', number>
  | Literal<'StringLiteral', string>
  | Literal<'ArrayLiteral' | 'TupleLiteral', readonly Expression[]>
  | Literal<'ObjectLiteral', ReadonlyMap<Expression, Expression>>
  | {
      readonly type: 'MemberExpression';
      readonly object: Expression;
      readonly property: Expression | Slice;
      readonly computed: boolean;
    }
  | {
      readonly type: 'BinaryExpression';
      readonly operator: Token;
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly type: 'UnaryExpression'; readonly operator: Token; readonly argument: Expression }
  | {
      readonly type: 'FilterExpression';
      readonly operand: Expression;
      readonly filter: Identifier | CallExpression;
    }
  | {
      readonly type: 'TestExpression';
      readonly operand: Expression;
      readonly negate: boolean;
      readonly test: Identifier;
    }
  | {
      readonly type: 'Ternary';
      readonly condition: Expression;
      readonly trueExpr: Expression;
      readonly falseExpr: Expression;
    };

export type Macro = {
  readonly type: 'Macro';
  readonly name: Identifier;
  readonly args: readonly Parameter[];
  readonly body: readonly Statement[];
};

export type For = {
  readonly type: 'For';
  readonly loopvar: Target;
  readonly iterable: Expression;
  readonly body: readonly Statement[];
  readonly defaultBlock: readonly Statement[];
};

export type CallStatement = {
  readonly type: 'CallStatement';
  readonly call: CallExpression;
  readonly callerArgs: readonly Parameter[] | null;
  readonly body: readonly Statement[];
};

export type SetStatement = {
  readonly type: 'Set';
  readonly assignee: Target;
  readonly value: Expression | null;
  readonly body: readonly Statement[];
};

export type Statement =
  | Expression
  | Macro
  | For
  | CallStatement
  | SetStatement
  | {
      readonly type: 'If';
      readonly test: Expression;
      readonly body: readonly Statement[];
      readonly alternate: readonly Statement[];
    }
  | {
      readonly type: 'FilterStatement';
      readonly filter: Identifier | CallExpression;
      readonly body: readonly Statement[];
    }
  | { readonly type: 'Break' }
  | { readonly type: 'Continue' }
  | { readonly type: 'Comment' };
