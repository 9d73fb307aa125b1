// Checks of single fields, for the files that resolve a spec. Thread-safe.
#ifndef CHERRY_COMMON_SPEC_CHECKS_H_
#define CHERRY_COMMON_SPEC_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace cherry {

// OUT_OF_RANGE: "FIELD: VALUE is not in RANGE".
absl::Status OutOfRange(absl::string_view field, absl::string_view value, absl::string_view range);

// low <= value <= high.
absl::Status CheckInteger(absl::string_view field, int64_t value, int64_t low, int64_t high);

// low <= value < high; a NaN is out of range.
absl::Status CheckReal(absl::string_view field, double value, double low, double high);

}  // namespace cherry

#endif  // CHERRY_COMMON_SPEC_CHECKS_H_
