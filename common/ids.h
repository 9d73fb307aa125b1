// Names and identifiers.
#ifndef CHERRY_COMMON_IDS_H_
#define CHERRY_COMMON_IDS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace cherry {

// A random UUID, version 4. Thread-safe.
std::string NewUuid();

// `length` random characters of [a-z0-9]. Thread-safe.
std::string RandomSuffix(int length);

// Lower-case letters, digits and '-', at most 63, starting with a letter: DNS label rules.
absl::Status ValidateName(absl::string_view name, absl::string_view field);

struct JobName {
  std::string ns;
  std::string job;
  // "namespaces/{ns}/jobs/{job}"
  std::string Resource() const;
};

// Parses "namespaces/{ns}/jobs/{job}".
absl::StatusOr<JobName> ParseJobName(absl::string_view resource);

// "namespaces/{ns}/models/{model}", and the parts of such a name.
std::string ModelResource(absl::string_view ns, absl::string_view model);
absl::StatusOr<JobName> ParseModelName(absl::string_view resource);

// Eight, four, four, four and twelve hexadecimal digits.
bool IsUuid(absl::string_view text);

}  // namespace cherry

#endif  // CHERRY_COMMON_IDS_H_
