// The parts of job_file.cc: YAML nodes into messages by reflection.
//
// Pure, thread-safe. Throws YAML::Exception where yaml-cpp does: only ParseJobFile and SetField call it, and
// catch.
#ifndef CHERRY_CLIENT_CLI_JOB_FILE_READER_H_
#define CHERRY_CLIENT_CLI_JOB_FILE_READER_H_

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cherry/v1/job.pb.h"
#include "google/protobuf/descriptor.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/struct.pb.h"

namespace cherry::client {

// A value as messages show it: short, on one line.
std::string ShowValue(absl::string_view value);

// "train" and "steps" as "train.steps".
std::string JoinPath(absl::string_view parent, absl::string_view key);

// Reads YAML nodes into messages. `where` begins every error: "examples/a.yaml:12: ".
class JobFileReader {
 public:
  // `file` empty: errors name no place, as for --set.
  explicit JobFileReader(absl::string_view file) : file_(file) {}

  absl::Status ReadMessage(const YAML::Node& node, const std::string& path,
                           google::protobuf::Message* message) const;
  absl::Status ReadField(const YAML::Node& node, const std::string& path,
                         const google::protobuf::FieldDescriptor& field,
                         google::protobuf::Message* message) const;

 private:
  absl::Status Wrong(const YAML::Node& node, absl::string_view reason, absl::string_view path,
                     absl::string_view what, absl::string_view remedy) const;
  absl::Status UnknownKey(const YAML::Node& node, const google::protobuf::Descriptor& type,
                          const std::string& parent, const std::string& key) const;
  absl::Status ReadAxis(const YAML::Node& node, const std::string& name, const std::string& path,
                        v1::Matrix* matrix) const;
  absl::Status ReadKeys(const YAML::Node& node, const std::string& path,
                        google::protobuf::Message* message) const;
  absl::Status ReadMessageField(const YAML::Node& node, const std::string& path,
                                const google::protobuf::FieldDescriptor& field,
                                google::protobuf::Message* message) const;
  absl::Status ReadRepeated(const YAML::Node& node, const std::string& path,
                            const google::protobuf::FieldDescriptor& field,
                            google::protobuf::Message* message) const;
  absl::Status ReadLabels(const YAML::Node& node, const std::string& path,
                          const google::protobuf::FieldDescriptor& field,
                          google::protobuf::Message* message) const;
  absl::Status ReadScalar(const YAML::Node& node, const std::string& path,
                          const google::protobuf::FieldDescriptor& field,
                          google::protobuf::Message* message) const;
  absl::StatusOr<int64_t> ReadInteger(const YAML::Node& node, const std::string& path,
                                      const google::protobuf::FieldDescriptor& field) const;
  absl::StatusOr<double> ReadNumber(const YAML::Node& node, const std::string& path) const;
  absl::Status ReadDuration(const YAML::Node& node, const std::string& path,
                            google::protobuf::Duration* duration) const;
  absl::Status ReadRankRange(const YAML::Node& node, const std::string& path, v1::RankRange* range) const;
  absl::Status ReadMatrix(const YAML::Node& node, const std::string& path, v1::Matrix* matrix) const;
  absl::Status ReadCombination(const YAML::Node& node, const std::string& path,
                               google::protobuf::Struct* combination) const;
  absl::StatusOr<google::protobuf::Value> ReadAxisValue(const YAML::Node& node, const std::string& name,
                                                        const std::string& path) const;

  const std::string file_;
};

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_JOB_FILE_READER_H_
