/** Serves the repository of the tests until it is stopped: `npx tsx test/models/hub/serve.ts`, for Python's library. */
import { FakeHub } from './fake-hub.ts';
import { TINY } from './tiny-repo.ts';

const hub = await FakeHub.start();
hub.add('models', 'ann/tiny', TINY);
console.log(hub.endpoint);
