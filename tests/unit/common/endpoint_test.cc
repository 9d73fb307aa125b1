#include "common/endpoint.h"

#include <gmock/gmock.h>

#include "common/status.h"

namespace cherry {
namespace {

TEST(EndpointTest, ParsesNamesAndBothKindsOfAddress) {
  EXPECT_EQ(ParseEndpoint("127.0.0.1:7070", "--x")->port, 7070);
  EXPECT_EQ(ParseEndpoint("[::1]:7070", "--x")->host, "::1");
  EXPECT_EQ(ParseEndpoint("[::1]:7070", "--x")->ToString(), "[::1]:7070");
  for (const char* bad : {"", "host", ":1", "host:", "host:x", "host:70000", "::1:7070"}) {
    EXPECT_EQ(InfoOf(ParseEndpoint(bad, "--x").status()).field(), "--x") << bad;
  }
}

TEST(EndpointTest, KnowsLoopback) {
  for (const char* here : {"127.0.0.1", "127.9.9.9", "::1", "localhost"}) {
    EXPECT_TRUE(IsLoopback(here)) << here;
  }
  for (const char* elsewhere : {"10.0.0.1", "example.com", "::2", "127.0.0.1.example.com"}) {
    EXPECT_FALSE(IsLoopback(elsewhere)) << elsewhere;
  }
}

}  // namespace
}  // namespace cherry
