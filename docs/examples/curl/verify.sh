#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# Verifies two Ed25519 signatures through a running service over HTTP: sh verify.sh http://127.0.0.1:8080
# SUPERVM_TOKEN is sent as a bearer token, where the service asks for one.
set -eu
if [ $# -ne 1 ]; then echo "usage: sh verify.sh http://HOST:PORT" >&2; exit 2; fi
curl --silent --show-error --fail-with-body "${1%/}/v1/verify" \
  --header "Request-Timeout: 60" ${SUPERVM_TOKEN:+--header "Authorization: Bearer $SUPERVM_TOKEN"} \
  --data '{
    "scheme": "ed25519",
    "public_keys": [
      "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
      "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    ],
    "messages": ["", "73"],
    "signatures": [
      "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
      "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    ]
  }'
