/**
 * Room: kernels. What generators decide by the kind of device. On a CPU rasteriser a workgroup costs as much as hundreds of elements, a
 * barrier is dear, scattered loads cost nothing extra, and a few dozen workgroups keep all cores busy. A GPU wants thousands of lanes,
 * neighbouring lanes on neighbouring addresses.
 */
import type { DeviceTraits } from './kernel.ts';

/** Decisions that depend on the kind of device alone. Those of one template (tiles of a product, say) are with the template. */
export interface DevicePolicy {
  /** Units (one element or four) that a lane of an elementwise kernel or a copy takes: long runs make few workgroups. */
  readonly elementsPerLane: number;
  /** The same where a unit costs several loads: rotary embedding, rows written into a matrix. */
  readonly rowUnitsPerLane: number;
  /** Lanes of a workgroup with a lane per column: small ones, so that a few columns still reach all cores. */
  readonly columnWorkgroupSize: number;
  /** Whether lanes share the columns of a mask's entry; else one lane takes them all, without a barrier. */
  readonly shareColumns: boolean;
  /** Workgroups that occupy the device where each more costs a scan of all ids. */
  readonly scatterWorkgroups: number;
  /** Rows from which on a lane takes a whole row, which needs no barrier: as many as keep all cores busy. */
  readonly lanePerRowFrom: number;
  /** Units of rows that a workgroup covers at least, where its lanes take whole rows. */
  readonly unitsPerRowGroup: number;
  /** Rows of layer norm that a lane takes at once, so that gamma and beta are loaded once for them. */
  readonly normRowsPerLane: number;
  /** Whether each row of a part of a norm's parameter gradients has one lane; else lanes share rows as everywhere. */
  readonly lanePerPartRow: boolean;
}

const CPU: DevicePolicy = {
  elementsPerLane: 32,
  rowUnitsPerLane: 16,
  columnWorkgroupSize: 16,
  shareColumns: false,
  scatterWorkgroups: 32,
  lanePerRowFrom: 32,
  unitsPerRowGroup: 512,
  normRowsPerLane: 2,
  lanePerPartRow: true,
};

const GPU: DevicePolicy = {
  elementsPerLane: 1,
  rowUnitsPerLane: 1,
  columnWorkgroupSize: 64,
  shareColumns: true,
  scatterWorkgroups: 512,
  lanePerRowFrom: Infinity,
  unitsPerRowGroup: Infinity,
  normRowsPerLane: 1,
  lanePerPartRow: false,
};

/** The decisions for a device: a CPU rasteriser's or a GPU's. */
export function policyOf({ software }: DeviceTraits): DevicePolicy {
  return software ? CPU : GPU;
}

/**
 * Whether matmul and attention use the templates that spread loads with subgroupBroadcast: on CPU rasterisers, where a load costs ten
 * multiply-adds and workgroup memory more. Subgroups of fewer lanes have too little to share.
 */
export function usesBroadcast({ software, subgroupSize }: DeviceTraits): boolean {
  return software && subgroupSize >= 4;
}
