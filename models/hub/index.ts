/**
 * Room: models/hub. Models, adapters and data sets by their names on the Hugging Face hub: `resolveModel` and `resolveAdapter` give folders for
 * `loadModel` and `PeftModel.fromPretrained`; `snapshotDownload` and `hfHubDownload` are what Python's `huggingface_hub` calls by these names, with
 * the same cache; `createRepo` and `uploadFiles` send to the hub.
 *
 * It imports engine. It may not know of models' contents: the rooms that read folders know no network.
 */
export {
  EntryNotFoundError,
  GatedRepoError,
  HfHubHTTPError,
  LocalEntryNotFoundError,
  RepositoryNotFoundError,
  RevisionNotFoundError,
} from './errors.ts';
export { resolveAdapter, resolveModel, type ResolveOptions } from './resolve.ts';
export { hfHubDownload, snapshotDownload, type DownloadOptions, type SnapshotOptions } from './snapshot.ts';
export type { HubOptions } from './settings.ts';
export { createRepo, uploadFiles, type UploadOptions } from './upload.ts';
