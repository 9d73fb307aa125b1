#include "client/cli/job_file_reader.h"

#include <set>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/job_file_names.h"
#include "common/status.h"

namespace cherry::client {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

// A value as messages show it: short, on one line.
std::string ShowValue(absl::string_view value) {
  std::string shown = absl::Utf8SafeCEscape(value.substr(0, 60));
  return value.size() > 60 ? shown + "..." : shown;
}

std::string JoinPath(absl::string_view parent, absl::string_view key) {
  return parent.empty() ? std::string(key) : absl::StrCat(parent, ".", key);
}

absl::Status JobFileReader::Wrong(const YAML::Node& node, absl::string_view reason, absl::string_view path,
                                  absl::string_view what, absl::string_view remedy) const {
  std::string where;
  if (!file_.empty()) {
    const YAML::Mark mark = node.Mark();
    where = mark.is_null() ? absl::StrCat(file_, ": ") : absl::StrCat(file_, ":", mark.line + 1, ": ");
  }
  const std::string field = path.empty() ? "" : absl::StrCat(ShowValue(path), ": ");
  return InvalidField(reason, ShowValue(path), absl::StrCat(where, field, what), remedy);
}

absl::Status JobFileReader::UnknownKey(const YAML::Node& node, const Descriptor& type,
                                       const std::string& parent, const std::string& key) const {
  return Wrong(node, "FIELD_UNKNOWN", JoinPath(parent, key), "unknown key", SuggestKey(type, parent, key));
}

absl::Status JobFileReader::ReadMessage(const YAML::Node& node, const std::string& path,
                                        Message* message) const {
  if (node.IsNull()) {
    return absl::OkStatus();
  }
  if (!node.IsMap()) {
    std::vector<std::string> keys;
    for (int i = 0; i < message->GetDescriptor()->field_count() && i < 6; ++i) {
      if (!IsOutputOnly(*message->GetDescriptor()->field(i))) {
        keys.emplace_back(message->GetDescriptor()->field(i)->name());
      }
    }
    return Wrong(node, "TYPE_WRONG", path,
                 path.empty() ? "the document is not a mapping" : "is not a mapping",
                 absl::StrCat("write keys and values, e.g. ", absl::StrJoin(keys, ", ")));
  }
  return ReadKeys(node, path, message);
}

absl::Status JobFileReader::ReadKeys(const YAML::Node& node, const std::string& path,
                                     Message* message) const {
  const Descriptor& type = *message->GetDescriptor();
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      return Wrong(entry.first, "TYPE_WRONG", path, "a key is not plain text", "write `key: value`");
    }
    const std::string& key = entry.first.Scalar();
    const FieldDescriptor* field = type.FindFieldByName(key);
    if (field == nullptr || IsOutputOnly(*field)) {
      return UnknownKey(entry.first, type, path, key);
    }
    if (!seen.insert(key).second) {
      return Wrong(entry.first, "FIELD_TWICE", JoinPath(path, key), "given twice", "remove one of them");
    }
    RETURN_IF_ERROR(ReadField(entry.second, JoinPath(path, key), *field, message));
  }
  return absl::OkStatus();
}

absl::Status JobFileReader::ReadField(const YAML::Node& node, const std::string& path,
                                      const FieldDescriptor& field, Message* message) const {
  if (field.is_map()) {
    return ReadLabels(node, path, field, message);
  }
  if (field.is_repeated()) {
    return ReadRepeated(node, path, field, message);
  }
  if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
    return ReadMessageField(node, path, field, message);
  }
  return ReadScalar(node, path, field, message);
}

absl::Status JobFileReader::ReadMessageField(const YAML::Node& node, const std::string& path,
                                             const FieldDescriptor& field, Message* message) const {
  const Descriptor* const type = field.message_type();
  if (node.IsNull() && type != google::protobuf::Duration::descriptor()) {
    return absl::OkStatus();
  }
  Message* const child = message->GetReflection()->MutableMessage(message, &field);
  if (type == google::protobuf::Duration::descriptor()) {
    return ReadDuration(node, path, static_cast<google::protobuf::Duration*>(child));
  }
  if (type == v1::RankRange::descriptor() && !node.IsMap()) {
    return ReadRankRange(node, path, static_cast<v1::RankRange*>(child));
  }
  if (type == v1::Matrix::descriptor()) {
    return ReadMatrix(node, path, static_cast<v1::Matrix*>(child));
  }
  return ReadMessage(node, path, child);
}

absl::Status JobFileReader::ReadRepeated(const YAML::Node& node, const std::string& path,
                                         const FieldDescriptor& field, Message* message) const {
  if (node.IsNull()) {
    return absl::OkStatus();
  }
  if (!node.IsSequence()) {
    return Wrong(node, "TYPE_WRONG", path, absl::StrCat("is not a list"), "write [FIRST, SECOND]");
  }
  int index = 0;
  for (const auto& element : node) {
    const std::string element_path = absl::StrCat(path, "[", index++, "]");
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      RETURN_IF_ERROR(
          ReadMessage(element, element_path, message->GetReflection()->AddMessage(message, &field)));
    } else {
      RETURN_IF_ERROR(ReadScalar(element, element_path, field, message));
    }
  }
  return absl::OkStatus();
}

// The only maps of a job file outside `matrix` go from text to text.
absl::Status JobFileReader::ReadLabels(const YAML::Node& node, const std::string& path,
                                       const FieldDescriptor& field, Message* message) const {
  if (node.IsNull()) {
    return absl::OkStatus();
  }
  if (!node.IsMap()) {
    return Wrong(node, "TYPE_WRONG", path, "is not a mapping", "write {key: value}");
  }
  std::set<std::string> seen;
  for (const auto& entry : node) {
    if (!entry.first.IsScalar() || !entry.second.IsScalar()) {
      return Wrong(entry.first, "TYPE_WRONG", path, "keys and values are not all plain text",
                   "write {key: value}");
    }
    if (!seen.insert(entry.first.Scalar()).second) {
      return Wrong(entry.first, "FIELD_TWICE", JoinPath(path, entry.first.Scalar()), "given twice",
                   "remove one of them");
    }
    Message* const pair = message->GetReflection()->AddMessage(message, &field);
    const Descriptor& type = *pair->GetDescriptor();
    pair->GetReflection()->SetString(pair, type.map_key(), entry.first.Scalar());
    pair->GetReflection()->SetString(pair, type.map_value(), entry.second.Scalar());
  }
  return absl::OkStatus();
}

}  // namespace cherry::client
