/** Room: engine/device. Commands that are encoded and submitted at once. */

/** Submits what `encode` encodes. */
export function submit(device: GPUDevice, encode: (encoder: GPUCommandEncoder) => void): void {
  const encoder = device.createCommandEncoder();
  encode(encoder);
  device.queue.submit([encoder.finish()]);
}

/** Submits one compute pass. */
export function submitPass(device: GPUDevice, encode: (pass: GPUComputePassEncoder) => void): void {
  submit(device, (encoder) => {
    const pass = encoder.beginComputePass();
    encode(pass);
    pass.end();
  });
}
