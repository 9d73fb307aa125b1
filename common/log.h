// Structured-enough logs to stderr: "2026-01-02T03:04:05.678Z I name: message".
//
// Thread-safe. Secrets never reach a log: pass names, not contents, of token and key files.
#ifndef CHERRY_COMMON_LOG_H_
#define CHERRY_COMMON_LOG_H_

#include "absl/strings/string_view.h"

namespace cherry {

// Once, at the start of main. `program` prefixes every line.
void InitLog(absl::string_view program);

void LogInfo(absl::string_view message);
void LogWarning(absl::string_view message);
void LogError(absl::string_view message);

}  // namespace cherry

#endif  // CHERRY_COMMON_LOG_H_
