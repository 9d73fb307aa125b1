// How results are printed: tables, JSON, YAML, and numbers as people read them.
//
// Pure functions, thread-safe; Table is not.
#ifndef CHERRY_CLIENT_CLI_OUTPUT_H_
#define CHERRY_CLIENT_CLI_OUTPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/message.h"
#include "google/protobuf/timestamp.pb.h"

namespace cherry::client {

// Columns as wide as their widest cell, two spaces between them, no trailing space.
class Table {
 public:
  explicit Table(std::vector<std::string> headers) : rows_{std::move(headers)} {}
  // As many cells as there are headers.
  void Row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  bool empty() const { return rows_.size() == 1; }
  // With `headers` false only the rows, in the same columns.
  std::string Render(bool headers = true) const;

 private:
  std::vector<std::vector<std::string>> rows_;
};

// Protobuf JSON with the proto's field names, ending in a newline.
absl::StatusOr<std::string> ToJson(const google::protobuf::Message& message);
absl::StatusOr<std::string> ToYaml(const google::protobuf::Message& message);
// {"items": [...]}
absl::StatusOr<std::string> ItemsToJson(const std::vector<const google::protobuf::Message*>& items);
absl::StatusOr<std::string> ItemsToYaml(const std::vector<const google::protobuf::Message*>& items);

// Columns on a terminal: Hangul, kana, CJK and emoji take two.
int DisplayWidth(absl::string_view text);

// 1437696 -> "1.4M", 300 -> "300".
std::string CountText(double count);
// 1536 -> "1.5 KiB".
std::string BytesText(int64_t bytes);
// 45 s -> "45s", 150 s -> "2m", 3 h -> "3h", 4 d -> "4d".
std::string AgeText(absl::Duration age);
// 38 s -> "0:38", 3725 s -> "1:02:05".
std::string ClockText(absl::Duration duration);
// Three significant digits after the point where they matter: 4.8123 -> "4.81", 0.00012 -> "1.20e-04".
std::string LossText(double loss);
// Local time, "2026-01-02 03:04:05"; "-" for none.
std::string TimeText(const google::protobuf::Timestamp& time);

absl::Time ToTime(const google::protobuf::Timestamp& time);
absl::Duration ToDuration(const google::protobuf::Duration& duration);

// Words broken at `width` columns, later lines indented by `indent` spaces.
std::string Wrap(absl::string_view text, int width, int indent);

// "namespaces/a/jobs/b" -> "b", or "a/b" where `ns` is not a.
std::string ShortJobName(absl::string_view resource, absl::string_view ns);

}  // namespace cherry::client

#endif  // CHERRY_CLIENT_CLI_OUTPUT_H_
