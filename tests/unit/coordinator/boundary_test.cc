// coordinator/core decides from what it is given: no I/O, threads, clock, randomness, gRPC or RocksDB.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>
#include <string>

namespace cherry::coordinator {
namespace {

const std::set<std::string>& AllowedSystemHeaders() {
  static const std::set<std::string> allowed = {
      "algorithm", "charconv",      "cmath",         "cstddef",  "cstdint", "deque",  "functional",
      "limits",    "map",           "memory",        "optional", "set",     "string", "tuple",
      "utility",   "unordered_map", "unordered_set", "variant",  "vector"};
  return allowed;
}

bool IsAllowed(const std::string& header, bool quoted) {
  static const std::regex own("(coordinator/core/|cherry/v1/)[a-z_.]+");
  // Pure parts of common/, and Abseil but for its clock.
  static const std::regex common(
      "common/"
      "(nearest|status|spec|spec_checks|evaluation|matrix_value|model_plan|ids|hash|version|exit_codes)\\.h");
  static const std::regex absl("absl/(status|strings|types|time/time)[a-z_/]*\\.h");
  static const std::regex values("google/protobuf/(struct|duration)\\.pb\\.h");
  if (!quoted) {
    return AllowedSystemHeaders().count(header) > 0;
  }
  return (std::regex_match(header, own) && header.find(".grpc.") == std::string::npos) ||
         std::regex_match(header, common) || std::regex_match(header, values) ||
         std::regex_match(header, absl);
}

TEST(Boundary, TheCoreIncludesNothingThatActsOrWaits) {
  const char* source = std::getenv("CHERRY_SOURCE");
  ASSERT_NE(source, nullptr) << "run by ctest, or set CHERRY_SOURCE";
  const std::regex include("\\s*#\\s*include\\s*([<\"])([^>\"]+)[>\"].*");
  const std::regex forbidden("\\b(NewUuid|RandomSuffix|HashFile|absl::Now)\\b");
  int files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(source) + "/coordinator/core")) {
    if (entry.path().extension() != ".h" && entry.path().extension() != ".cc") {
      continue;
    }
    ++files;
    std::ifstream file(entry.path());
    std::string line;
    std::smatch match;
    while (std::getline(file, line)) {
      if (std::regex_match(line, match, include)) {
        EXPECT_TRUE(IsAllowed(match[2], match[1] == "\"")) << entry.path() << " includes " << match[2];
      }
      EXPECT_FALSE(std::regex_search(line, forbidden)) << entry.path() << ": " << line;
    }
  }
  EXPECT_GT(files, 20);
}

}  // namespace
}  // namespace cherry::coordinator
