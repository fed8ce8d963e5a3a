#!/bin/sh
# Puts the certificate of CI's secrets into a keychain of its own and remembers the notary's credentials.
set -eu
keychain=$RUNNER_TEMP/build.keychain
password=$(uuidgen)
printf '%s' "$CERTIFICATE" | base64 --decode >"$RUNNER_TEMP/certificate.p12"
security create-keychain -p "$password" "$keychain"
security unlock-keychain -p "$password" "$keychain"
security import "$RUNNER_TEMP/certificate.p12" -k "$keychain" -P "$CERTIFICATE_PASSWORD" -T /usr/bin/codesign
security set-key-partition-list -S apple-tool:,apple: -s -k "$password" "$keychain" >/dev/null
security list-keychains -d user -s "$keychain" login.keychain
rm "$RUNNER_TEMP/certificate.p12"
if [ -n "${APPLE_ID:-}" ]; then
	xcrun notarytool store-credentials coordlabel --apple-id "$APPLE_ID" --team-id "$APPLE_TEAM" \
		--password "$APPLE_PASSWORD" --keychain "$keychain"
	echo "NOTARY_PROFILE=coordlabel" >>"$GITHUB_ENV"
	echo "NOTARY_KEYCHAIN=$keychain" >>"$GITHUB_ENV"
fi
