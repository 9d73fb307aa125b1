// Messages as protobuf JSON with the proto's field names, as the API shows them. Thread-safe.
#ifndef CHERRY_COMMON_PROTO_JSON_H_
#define CHERRY_COMMON_PROTO_JSON_H_

#include <string>

#include "absl/status/statusor.h"
#include "google/protobuf/message.h"

namespace cherry {

// INTERNAL names the type of a message that has no JSON.
absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message);

}  // namespace cherry

#endif  // CHERRY_COMMON_PROTO_JSON_H_
