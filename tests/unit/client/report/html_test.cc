#include "client/report/html.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace cherry::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(HtmlTest, TextStaysText) {
  EXPECT_EQ(EscapeHtml("<b title=\"x\">'&amp;'</b>"),
            "&lt;b title=&quot;x&quot;&gt;&#39;&amp;amp;&#39;&lt;/b&gt;");
  EXPECT_EQ(EscapeHtml("가\tb\nc\x01"), "가\tb\nc\xef\xbf\xbd");
}

TEST(HtmlTest, AnElementHasEscapedAttributesAndABodyAsItIs) {
  EXPECT_EQ(Element("p", "<b>1</b>", {{"title", "a\"<b"}}), "<p title=\"a&quot;&lt;b\"><b>1</b></p>");
  EXPECT_EQ(TextElement("p", "1 < 2"), "<p>1 &lt; 2</p>");
  EXPECT_EQ(Element("meta", "", {{"charset", "utf-8"}}), "<meta charset=\"utf-8\"/>");
  EXPECT_EQ(Element("p", ""), "<p></p>");
}

TEST(HtmlTest, ATableLeavesOutEmptyColumnsAndPutsNumbersToTheRight) {
  HtmlTable table("Models <1>", {"Model", "Loss", "Nothing", "Note"});
  table.Row({"a", "1.5", "", "x"});
  table.Row({"b", "-2", "", ""});
  const std::string html = table.Render();
  EXPECT_THAT(html, HasSubstr("<caption><span>Models &lt;1&gt;</span></caption>"));
  EXPECT_THAT(html,
              HasSubstr("<th scope=\"col\" class=\"n\">Loss</th><th scope=\"col\" class=\"t\">Note</th>"));
  EXPECT_THAT(html, HasSubstr("<th scope=\"row\">b</th><td class=\"n\">-2</td><td class=\"t\"></td>"));
  EXPECT_THAT(html, Not(HasSubstr("Nothing")));
}

TEST(HtmlTest, ATableWithoutRowsIsNothing) { EXPECT_EQ(HtmlTable("c", {"a"}).Render(), ""); }

}  // namespace
}  // namespace cherry::client
