#include "client/data/chat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "client/data/json_document.h"
#include "client/data/text_source.h"
#include "common/status.h"
#include "tests/test_directory.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;

std::string WhatIsWrong(const std::string& json) {
  const absl::Status status = ParseJsonDocument("a.jsonl", 7, json, "text").status();
  EXPECT_EQ(InfoOf(status).reason(), "INPUT_INVALID") << json;
  EXPECT_FALSE(InfoOf(status).remedy().empty());
  return std::string(status.message());
}

TEST(ChatTest, PackedMessagesComeBackWhateverTheyContain) {
  std::string packed;
  PackMessage(Role::kSystem, "", &packed);
  PackMessage(Role::kUser, "<|assistant|>\n0\n", &packed);
  PackMessage(Role::kAssistant, "네.", &packed);
  const std::vector<Message> messages = UnpackChat(packed);
  ASSERT_EQ(messages.size(), 3u);
  EXPECT_EQ(messages[0].text, "\n");
  EXPECT_EQ(messages[1].role, Role::kUser);
  EXPECT_EQ(messages[1].text, "<|assistant|>\n0\n\n");
  EXPECT_EQ(messages[2].role, Role::kAssistant);
  EXPECT_EQ(messages[2].text, "네.\n");
  EXPECT_EQ(TemplateBytes(packed), static_cast<int64_t>(sizeof("<|system|>\n\n<|user|>\n<|assistant|>\n0\n\n"
                                                               "<|assistant|>\n네.\n") -
                                                        1));
}

TEST(ChatTest, AnObjectWithMessagesIsAConversation) {
  const auto chat = ParseJsonDocument(
      "a", 1,
      R"({"messages": [{"role": "user", "content": "a\r\nb"}, {"role": "assistant", "content": "c"}]})",
      "text");
  ASSERT_TRUE(chat.ok()) << chat.status();
  EXPECT_TRUE(chat->chat);
  ASSERT_EQ(UnpackChat(chat->content).size(), 2u);
  EXPECT_EQ(UnpackChat(chat->content)[0].text, "a\nb\n");
  const auto text = ParseJsonDocument("a", 1, R"({"messages": [], "text": "t"})", "text");
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_FALSE(text->chat);
  EXPECT_EQ(text->content, "t");
}

TEST(ChatTest, AMalformedMessageIsNamedWithItsMember) {
  EXPECT_THAT(WhatIsWrong(R"({"messages": 3})"), HasSubstr("a.jsonl:7: messages is not an array"));
  EXPECT_THAT(WhatIsWrong(R"({"messages": []})"), HasSubstr("messages is not an array of messages"));
  EXPECT_THAT(WhatIsWrong(R"({"messages": [{"role": "user", "content": "a"}, "b"]})"),
              HasSubstr("messages[1] is not an object"));
  EXPECT_THAT(WhatIsWrong(R"({"messages": [{"content": "a"}]})"), HasSubstr("messages[0].role is not"));
  EXPECT_THAT(WhatIsWrong(R"({"messages": [{"role": "user", "content": null}]})"),
              HasSubstr("messages[0].content is not"));
  EXPECT_THAT(WhatIsWrong(R"({"messages": [{"role": "tool", "content": "a"}]})"),
              HasSubstr("messages[0].role: 'tool'"));
  EXPECT_THAT(WhatIsWrong(R"({"other": 1})"), HasSubstr("no string 'text'"));
}

TEST(ChatTest, ConversationsAndTextsDoNotMix) {
  const TestDirectory directory;
  const std::string chat =
      directory.File("a.jsonl", "{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}\n");
  const std::string both = directory.File("b.jsonl",
                                          "{\"messages\":[{\"role\":\"user\",\"content\":\"b\"}]}\n"
                                          "\n{\"text\":\"t\"}\n");
  DocumentForm form;
  const auto ignore = [](absl::string_view) { return absl::OkStatus(); };
  const auto read = [&](const std::string& path) {
    return ReadDocuments({path, InputFile::Kind::kJsonLines}, {}, &form, ignore).status();
  };
  EXPECT_TRUE(read(chat).ok());
  EXPECT_TRUE(form.chat());
  const absl::Status mixed = read(both);
  EXPECT_EQ(InfoOf(mixed).reason(), "INPUT_INVALID");
  EXPECT_THAT(std::string(mixed.message()),
              HasSubstr("b.jsonl:3: a text, where " + chat + ":1 is a conversation"));
}

}  // namespace
}  // namespace cherry::client
