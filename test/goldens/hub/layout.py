"""Writes layout.json: what Python's huggingface_hub 2.4.0 leaves in its cache for the repository of test/models/hub/tiny-repo.ts.

    npx tsx test/models/hub/serve.ts                                  # prints the server's address
    HF_ENDPOINT=ADDRESS HF_HUB_DISABLE_XET=1 python test/goldens/hub/layout.py > test/goldens/hub/layout.json
"""

import json
import os
import sys
import tempfile

with tempfile.TemporaryDirectory() as cache:
    from huggingface_hub import snapshot_download

    snapshot_download("ann/tiny", cache_dir=cache)
    layout = {}
    for folder, _, names in os.walk(cache):
        for name in names:
            path = os.path.join(folder, name)
            key = os.path.relpath(path, cache)
            if os.path.islink(path):
                layout[key] = {"link": os.readlink(path)}
            elif "/refs/" in path or "/trees/" in path:
                layout[key] = {"text": open(path).read()}
            else:
                layout[key] = {}
    json.dump(layout, sys.stdout, indent=2, sort_keys=True)
    print()
