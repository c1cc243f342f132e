"""The release of the contract that this code speaks."""

# Must equal protos/CONTRACT; a unit test holds them together, because the file is not part of the wheel.
CONTRACT_RELEASE = "v2025.9"

# gRPC metadata key and Kafka header that carry the release.
CONTRACT_KEY = "contract-version"
