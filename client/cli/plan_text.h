// A plan as --dry-run and describe print it. Pure, thread-safe.
#ifndef CHERRY_CLIENT_CLI_PLAN_TEXT_H_
#define CHERRY_CLIENT_CLI_PLAN_TEXT_H_

#include <string>

#include "cherry/v1/resources.pb.h"

namespace cherry::client {

// One line for each part, indented by `indent` spaces, ending in a newline.
std::string PlanText(const v1::Plan& plan, int indent);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_PLAN_TEXT_H_
