// When the worker's TLS certificate ends.
#ifndef CHERRY_WORKER_AGENT_CERTIFICATE_H_
#define CHERRY_WORKER_AGENT_CERTIFICATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace cherry::worker {

// Of the first certificate of a PEM file. Thread-safe.
absl::StatusOr<absl::Time> CertificateExpiry(const std::string& pem_file);

}  // namespace cherry::worker

#endif  // CHERRY_WORKER_AGENT_CERTIFICATE_H_
