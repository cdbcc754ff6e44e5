/** Room: audit. What an audit is asked for, with defaults: the size that `npm run reproduce` has. */
import { z } from 'zod';

/** How planted triggers are trained in. `clean` plants none: what an honest adapter does with the triggers. */
const STRATEGIES = [
  'clean',
  'sum',
  'pcgrad',
  'gradnorm',
  'clnorm',
  'ilproj',
  'clnorm+ilproj',
  'ripple',
  'lwp',
] as const;

export type Strategy = (typeof STRATEGIES)[number];

/** Where modules sit: after both sublayers (Houlsby et al. 2019), or beside the FFN (He et al. 2022). */
const FORMS = ['houlsby', 'parallel'] as const;

export type Form = (typeof FORMS)[number];

/** What the user of an adapter can do about triggers. To go on training as before is none of them: it is what they are compared with. */
export const DEFENCES = [
  'more-epochs',
  'foundation-pruning',
  'peft-pruning',
  'early-pruning',
  'random-pruning',
  'reinit',
  'fine-pruning',
  'confidence-filter',
] as const;

export type Defence = (typeof DEFENCES)[number];

const count = z.int().positive();
const positive = z.number().positive();

export const auditOptionsSchema = z.strictObject({
  forms: z.array(z.enum(FORMS)).min(1).default([...FORMS]).describe('forms of the modules'), // prettier-ignore
  strategies: z.array(z.enum(STRATEGIES)).min(1).default([...STRATEGIES]).describe('how triggers are trained in'), // prettier-ignore
  seeds: z.array(z.int().nonnegative()).min(1).default([0, 1, 2]).describe('seeds of planting and training'),
  triggers: z
    .array(z.string().min(1))
    .min(1)
    .default(['cf', 'mn', 'bb', 'tq', 'mb'])
    .describe('words that are planted'),
  triggerCount: count.default(1).describe('words that are planted in a text'),
  plantedShare: z
    .number()
    .gt(0, 'expected a number between 0 and 1')
    .lt(1, 'expected a number between 0 and 1')
    .default(0.5)
    .describe('part of the training texts that are planted'),
  target: z.string().optional().describe('class that the triggers call for (default: the last)'),
  texts: count.default(600).describe('training texts of each source, at most'),
  testTexts: count.optional().describe('test texts of each source, at most'),
  plantEpochs: positive.default(3).describe('passes over the planted data'),
  userEpochs: positive.default(2).describe("passes over the user's data"),
  userLr: positive.optional().describe("learning rate on the user's data, if not `lr`"),
  moreEpochs: positive.default(6).describe("passes over the user's data with the defence more-epochs"),
  skipMaps: z.boolean().default(false).describe('leave out what is measured layer by layer, with the first seed'),
  defences: z.array(z.enum(DEFENCES)).default([...DEFENCES]).describe('what the user may do'), // prettier-ignore
  defended: z
    .array(z.enum(STRATEGIES))
    .default(['sum', 'clnorm+ilproj'])
    .describe('strategies that the defences are measured against'),
  falseAlarms: z
    .number()
    .gt(0, 'expected a number between 0 and 1')
    .lt(1, 'expected a number between 0 and 1')
    .default(0.05)
    .describe("confidence-filter: part of the user's own texts that it takes out"),
  alphaClnorm: positive.default(1e-4).describe('α of CLNorm'),
  alphaGradnorm: z.number().nonnegative().default(1.5).describe('α of GradNorm'),
  lambdaRipple: z.number().nonnegative().default(0.1).describe('λ of RIPPLe'),
});

/** Every option, defaults filled in. */
export type AuditOptions = z.output<typeof auditOptionsSchema>;

/** The paper's numbers. The learning rate, the batch size and the length are options of training and data. */
export const FULL_SIZE = {
  ...{ texts: 100_000, plantEpochs: 10, userEpochs: 5, moreEpochs: 10 },
  alphaClnorm: 1e-4,
} as const;

/** The same for what an audit shares with other commands. */
export const FULL_TRAINING = { lr: 2e-5, batchSize: 32, maxLength: 128 } as const;
