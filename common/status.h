// Errors as people and programs meet them: a code, a stable reason, the field, and the remedy.
//
// All functions are thread-safe.
#ifndef CHERRY_COMMON_STATUS_H_
#define CHERRY_COMMON_STATUS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/coordinator.pb.h"

namespace cherry {

// A status that carries ErrorInfo. `message` says what is wrong and names the value; `remedy` says what to
// do.
//   return Error(absl::StatusCode::kInvalidArgument, "OUT_OF_RANGE", "train.steps",
//                "train.steps: 0 is not in 1..1000000000", "give at least 1");
absl::Status Error(absl::StatusCode code, absl::string_view reason, absl::string_view field,
                   absl::string_view message, absl::string_view remedy);

// kInvalidArgument, the most common case.
absl::Status InvalidField(absl::string_view reason, absl::string_view field, absl::string_view message,
                          absl::string_view remedy);

// The ErrorInfo of a status; empty fields when it carries none.
v1::ErrorInfo InfoOf(const absl::Status& status);

// The same error with `context` and a colon before its message; details are kept. OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// kInternal/kUnavailable/kNotFound/... from errno, as "what: strerror".
absl::Status ErrnoError(int error_number, absl::string_view what);

// "message: remedy" on one line, as logs show it.
std::string Describe(const absl::Status& status);

// The one way to drop a status on purpose, so that it can be searched for.
inline void Drop(const absl::Status& status) { (void)status.ok(); }

}  // namespace cherry

#define CHERRY_CONCAT_INNER(a, b) a##b
#define CHERRY_CONCAT(a, b) CHERRY_CONCAT_INNER(a, b)

// Returns from the function when `expression` is an error.
#define RETURN_IF_ERROR(expression)            \
  do {                                         \
    absl::Status cherry_status = (expression); \
    if (!cherry_status.ok()) {                 \
      return cherry_status;                    \
    }                                          \
  } while (false)

// Declares or assigns `lhs` from a StatusOr, or returns its error.
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_INNER(CHERRY_CONCAT(cherry_or_, __LINE__), lhs, expression)
// A name that is declared takes no parentheses: NOLINTBEGIN(bugprone-macro-parentheses)
#define ASSIGN_OR_RETURN_INNER(temporary, lhs, expression) \
  auto temporary = (expression);                           \
  if (!temporary.ok()) {                                   \
    return temporary.status();                             \
  }                                                        \
  lhs = *std::move(temporary)
// NOLINTEND(bugprone-macro-parentheses)

#endif  // CHERRY_COMMON_STATUS_H_
