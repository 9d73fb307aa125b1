// Which key of a job file was meant by one that is not in it.
//
// Pure functions, thread-safe.
#ifndef CHERRY_CLIENT_CLI_JOB_FILE_NAMES_H_
#define CHERRY_CLIENT_CLI_JOB_FILE_NAMES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/descriptor.h"

namespace cherry::client {

// The remedy for `key` below `parent_path` ("" at the top) in a message of type `parent`: the usual name of
// another tool, the same key at another level, the nearest spelling, or else the keys that there are.
std::string SuggestKey(const google::protobuf::Descriptor& parent, absl::string_view parent_path,
                       absl::string_view key);

// Not for files: the coordinator fills it in.
bool IsOutputOnly(const google::protobuf::FieldDescriptor& field);

// Values of an enum as files write them: lower case, without the unspecified one.
std::vector<std::string> EnumValues(const google::protobuf::EnumDescriptor& type);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_JOB_FILE_NAMES_H_
