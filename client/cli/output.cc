#include "client/cli/output.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/cli/yaml_text.h"
#include "common/ids.h"
#include "common/proto_json.h"
#include "common/status.h"

namespace cherry::client {
namespace {

using Json = nlohmann::ordered_json;
using google::protobuf::Message;

absl::StatusOr<Json> ToTree(const Message& message) {
  ASSIGN_OR_RETURN(const std::string text, MessageToJson(message));
  return Json::parse(text);
}

absl::StatusOr<Json> ItemsTree(const std::vector<const Message*>& items) {
  Json list = Json::array();
  for (const Message* const item : items) {
    ASSIGN_OR_RETURN(Json tree, ToTree(*item));
    list.push_back(std::move(tree));
  }
  return Json{{"items", std::move(list)}};
}

void AppendYaml(const Json& node, int indent, std::string* out);

// What follows "key:" or "-".
void AppendYamlValue(const Json& node, int indent, std::string* out) {
  if (node.is_structured() && !node.empty()) {
    absl::StrAppend(out, "\n");
    AppendYaml(node, indent, out);
  } else if (node.is_string()) {
    absl::StrAppend(out, " ", YamlText(node.get<std::string>()), "\n");
  } else {
    absl::StrAppend(out, " ", node.dump(), "\n");
  }
}

void AppendYaml(const Json& node, int indent, std::string* out) {
  const std::string margin(indent, ' ');
  if (node.is_object()) {
    for (const auto& [key, value] : node.items()) {
      absl::StrAppend(out, margin, YamlText(key), ":");
      AppendYamlValue(value, indent + 2, out);
    }
    return;
  }
  for (const Json& element : node) {
    std::string body;
    AppendYamlValue(element, indent + 2, &body);
    // "- key: value": the first line of a mapping stands beside its dash.
    const bool nested = element.is_structured() && !element.empty();
    absl::StrAppend(out, margin, "-", nested ? " " : "", nested ? body.substr(indent + 3) : body);
  }
}

std::string YamlOf(const Json& tree) {
  if (tree.empty()) {
    return "{}\n";
  }
  std::string out;
  AppendYaml(tree, 0, &out);
  return out;
}

bool IsWide(uint32_t code) {
  return (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0xa4cf) ||
         (code >= 0xac00 && code <= 0xd7a3) || (code >= 0xf900 && code <= 0xfaff) ||
         (code >= 0xfe30 && code <= 0xfe6f) || (code >= 0xff00 && code <= 0xff60) ||
         (code >= 0xffe0 && code <= 0xffe6) || (code >= 0x1f300 && code <= 0x1faff) || code >= 0x20000;
}

}  // namespace

int DisplayWidth(absl::string_view text) {
  int width = 0;
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = length == 1 ? lead : lead & (0x7f >> length);
    for (size_t k = 1; k < length && i + k < text.size(); ++k) {
      code = code << 6 | (static_cast<unsigned char>(text[i + k]) & 0x3f);
    }
    width += IsWide(code) ? 2 : 1;
    i += length;
  }
  return width;
}

std::string Table::Render(bool headers) const {
  std::vector<int> widths(rows_[0].size());
  for (const auto& row : rows_) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i) {
      widths[i] = std::max(widths[i], DisplayWidth(row[i]));
    }
  }
  std::string out;
  for (size_t r = headers ? 0 : 1; r < rows_.size(); ++r) {
    std::string line;
    for (size_t i = 0; i < rows_[r].size(); ++i) {
      absl::StrAppend(&line, rows_[r][i], std::string(widths[i] - DisplayWidth(rows_[r][i]) + 2, ' '));
    }
    absl::StrAppend(&out, absl::StripTrailingAsciiWhitespace(line), "\n");
  }
  return out;
}

absl::StatusOr<std::string> ToJson(const Message& message) {
  ASSIGN_OR_RETURN(const Json tree, ToTree(message));
  return tree.dump(2) + "\n";
}

absl::StatusOr<std::string> ToYaml(const Message& message) {
  ASSIGN_OR_RETURN(const Json tree, ToTree(message));
  return YamlOf(tree);
}

absl::StatusOr<std::string> ItemsToJson(const std::vector<const Message*>& items) {
  ASSIGN_OR_RETURN(const Json tree, ItemsTree(items));
  return tree.dump(2) + "\n";
}

absl::StatusOr<std::string> ItemsToYaml(const std::vector<const Message*>& items) {
  ASSIGN_OR_RETURN(const Json tree, ItemsTree(items));
  return YamlOf(tree);
}

std::string CountText(double count) {
  for (const auto& [scale, unit] :
       {std::pair<double, const char*>{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}) {
    if (std::abs(count) >= 0.9995 * scale) {
      const double scaled = count / scale;
      return absl::StrFormat("%.*f%s", scaled < 100 ? 1 : 0, scaled, unit);
    }
  }
  return absl::StrFormat("%.*f", count == std::floor(count) ? 0 : 1, count);
}

std::string BytesText(int64_t bytes) {
  double scaled = static_cast<double>(bytes);
  const char* const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  int unit = 0;
  while (scaled >= 1023.95 && unit < 5) {
    scaled /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.*f %s", unit == 0 ? 0 : 1, scaled, units[unit]);
}

std::string AgeText(absl::Duration age) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(age));
  if (seconds < 120) {
    return absl::StrCat(seconds, "s");
  }
  if (seconds / 60 < 120) {
    return absl::StrCat(seconds / 60, "m");
  }
  return seconds / 3600 < 48 ? absl::StrCat(seconds / 3600, "h") : absl::StrCat(seconds / 86400, "d");
}

std::string ClockText(absl::Duration duration) {
  const int64_t seconds = std::max<int64_t>(0, absl::ToInt64Seconds(duration));
  if (seconds < 3600) {
    return absl::StrFormat("%d:%02d", seconds / 60, seconds % 60);
  }
  return absl::StrFormat("%d:%02d:%02d", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

std::string LossText(double loss) {
  const double size = std::abs(loss);
  return size != 0 && (size < 0.01 || size >= 1e6) ? absl::StrFormat("%.2e", loss)
                                                   : absl::StrFormat("%.2f", loss);
}

absl::Time ToTime(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

absl::Duration ToDuration(const google::protobuf::Duration& duration) {
  return absl::Seconds(duration.seconds()) + absl::Nanoseconds(duration.nanos());
}

std::string TimeText(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) {
    return "-";
  }
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", ToTime(time), absl::LocalTimeZone());
}

std::string Wrap(absl::string_view text, int width, int indent) {
  std::string out;
  int column = 0;
  for (const absl::string_view word : absl::StrSplit(text, ' ')) {
    const int length = DisplayWidth(word);
    if (column > 0 && column + 1 + length > width) {
      absl::StrAppend(&out, "\n", std::string(indent, ' '));
      column = indent;
    } else if (!out.empty()) {
      out.push_back(' ');
      ++column;
    }
    absl::StrAppend(&out, word);
    column += length;
  }
  return out;
}

std::string ShortJobName(absl::string_view resource, absl::string_view ns) {
  const auto name = ParseJobName(resource);
  if (!name.ok()) {
    return std::string(resource);
  }
  return name->ns == ns ? name->job : absl::StrCat(name->ns, "/", name->job);
}

}  // namespace cherry::client
