#include "common/spec_checks.h"

#include "absl/strings/str_cat.h"
#include "common/status.h"

namespace cherry {

absl::Status OutOfRange(absl::string_view field, absl::string_view value, absl::string_view range) {
  return InvalidField("OUT_OF_RANGE", field, absl::StrCat(field, ": ", value, " is not in ", range),
                      absl::StrCat("give a value in ", range));
}

absl::Status CheckInteger(absl::string_view field, int64_t value, int64_t low, int64_t high) {
  if (value < low || value > high) {
    return OutOfRange(field, absl::StrCat(value), absl::StrCat(low, "..", high));
  }
  return absl::OkStatus();
}

absl::Status CheckReal(absl::string_view field, double value, double low, double high) {
  if (!(value >= low && value < high)) {
    return OutOfRange(field, absl::StrCat(value), absl::StrCat("[", low, ", ", high, ")"));
  }
  return absl::OkStatus();
}

}  // namespace cherry
