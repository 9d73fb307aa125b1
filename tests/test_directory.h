// A directory of its own for a test, gone with the object.
#ifndef CHERRY_TESTS_TEST_DIRECTORY_H_
#define CHERRY_TESTS_TEST_DIRECTORY_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "common/file.h"
#include "common/status.h"

namespace cherry {

class TestDirectory {
 public:
  TestDirectory() {
    std::string pattern = ::testing::TempDir() + "cherry-test-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  ~TestDirectory() { Drop(RemoveTree(path_)); }
  const std::string& path() const { return path_; }
  // Writes a file, and the folders on its way, and returns its path.
  std::string File(const std::string& name, const std::string& content) const {
    const std::string file = path_ + "/" + name;
    EXPECT_TRUE(MakeDirectories(file.substr(0, file.rfind('/'))).ok());
    EXPECT_TRUE(WriteFileAtomically(file, content).ok());
    return file;
  }

 private:
  std::string path_;
};

}  // namespace cherry

#endif  // CHERRY_TESTS_TEST_DIRECTORY_H_
