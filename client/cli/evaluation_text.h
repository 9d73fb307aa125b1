// What an evaluation has found, as people read it on a terminal.
#ifndef CHERRY_CLIENT_CLI_EVALUATION_TEXT_H_
#define CHERRY_CLIENT_CLI_EVALUATION_TEXT_H_

#include <string>

#include "absl/strings/string_view.h"
#include "cherry/v1/resources.pb.h"

namespace cherry::client {

// A line for each model, means over seeds, and the verdicts; `ns` is left out of names. Pure, thread-safe.
std::string EvaluationText(const v1::Evaluation& evaluation, absl::string_view ns);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_EVALUATION_TEXT_H_
