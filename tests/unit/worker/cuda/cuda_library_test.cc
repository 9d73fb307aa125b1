// The real library: it opens, and without a usable GPU it refuses clearly.
#include <dlfcn.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "worker/cuda/cuda_api.h"

namespace cherry::trainer {
namespace {

using ::testing::HasSubstr;

TEST(CudaLibraryTest, OpensAndRefusesWithoutAVisibleGpu) {
  ASSERT_EQ(setenv("CUDA_VISIBLE_DEVICES", "", 1), 0);
  const std::string path = absl::StrCat(std::getenv("CHERRY_BIN"), "/", kCudaLibrary);
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto api = reinterpret_cast<CudaApiFunction>(dlsym(library, kCudaApiSymbol));
  ASSERT_NE(api, nullptr) << dlerror();
  const absl::StatusOr<CudaDevice> device = api()->set_up();
  EXPECT_TRUE(absl::IsFailedPrecondition(device.status())) << device.status();
  EXPECT_THAT(std::string(device.status().message()), HasSubstr("the driver"));
}

}  // namespace
}  // namespace cherry::trainer
