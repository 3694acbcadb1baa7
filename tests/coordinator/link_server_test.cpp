// The coordinator's end of the link against callers that are late, wrong, rude or right.

#include "coordinator/link_server.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/json.hpp"
#include "coordinator/reactor.hpp"

namespace regatta {
namespace {

using namespace std::chrono_literals;

/// A caller over a plain socket: an independent other end.
class Caller {
 public:
  explicit Caller(unsigned short port) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  }
  ~Caller() { ::close(socket_); }
  Caller(const Caller&) = delete;
  Caller& operator=(const Caller&) = delete;

  bool connected() const { return connected_; }
  void say(const std::string& text) const { ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL); }
  bool hung_up() const {
    char byte = 0;
    const auto got = ::recv(socket_, &byte, 1, MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno == ECONNRESET);
  }

 private:
  int socket_;
  bool connected_ = false;
};

const std::string kNotice = encode(JournalNotice{1}) + "\n";

class LinkServerTest : public testing::Test {
 protected:
  std::string hello(const std::string& token, const std::string& run = "01HZZZZZZZZZZZZZZZZZZZZZZZ", int attempt = 1) {
    return encode(LinkHello{token, RunId{run}, attempt}) + "\n";
  }
  bool soon(const std::function<bool()>& condition, Duration deadline = 5s) {
    const auto end = std::chrono::steady_clock::now() + deadline;
    while (!condition() && std::chrono::steady_clock::now() < end) reactor_.wait(10ms);
    return condition();
  }

  Reactor reactor_;
  std::vector<LinkMessage> heard_;
  LinkServer server_{reactor_.context(), RunId{"01HZZZZZZZZZZZZZZZZZZZZZZZ"}, 1,
                     [this](const LinkMessage& message) { heard_.push_back(message); }};
};

TEST_F(LinkServerTest, HearsACallerThatKnowsTheToken) {
  const Caller caller(server_.port());
  caller.say(hello(server_.token()) + encode(JournalNotice{7}) + "\n" + encode(Progress{.epoch = 2, .loss = 0.5}) +
             "\n");
  ASSERT_TRUE(soon([&] { return heard_.size() == 2; }));
  EXPECT_EQ(std::get<JournalNotice>(heard_[0]).seq, 7);
  EXPECT_EQ(std::get<Progress>(heard_[1]).epoch, 2);
}

TEST_F(LinkServerTest, ReadsALineThatComesInPieces) {
  const Caller caller(server_.port());
  const std::string line = hello(server_.token());
  caller.say(line.substr(0, 10));
  const Caller later(server_.port());  // once it has been turned away, the server has seen the first piece too
  later.say("no hello\n");
  ASSERT_TRUE(soon([&] { return later.hung_up(); }));
  EXPECT_FALSE(caller.hung_up());
  caller.say(line.substr(10) + kNotice);
  EXPECT_TRUE(soon([&] { return heard_.size() == 1; }));
}

TEST_F(LinkServerTest, FileHasPortAndTokenAndTokensDiffer) {
  const Json file = parse_json(server_.file_text(), "link.json");
  EXPECT_EQ(file.at("port").get<int>(), server_.port());
  EXPECT_EQ(file.at("token").get<std::string>(), server_.token());
  EXPECT_EQ(server_.token().size(), 64U);
  const LinkServer other(reactor_.context(), RunId{"x"}, 1, {});
  EXPECT_NE(other.token(), server_.token());
}

struct WrongWord {
  const char* name;
  std::function<std::string(const std::string& token)> text;
};
void PrintTo(const WrongWord& word, std::ostream* out) {
  *out << word.name;
}

class WrongWordTest : public LinkServerTest, public testing::WithParamInterface<WrongWord> {};

TEST_P(WrongWordTest, EndsTheCallAndIsNotHeard) {
  const Caller caller(server_.port());
  ASSERT_TRUE(caller.connected());
  caller.say(GetParam().text(server_.token()));
  EXPECT_TRUE(soon([&] { return caller.hung_up(); }));
  EXPECT_THAT(heard_, testing::IsEmpty());
  const Caller honest(server_.port());
  honest.say(hello(server_.token()) + kNotice);
  EXPECT_TRUE(soon([&] { return heard_.size() == 1; })) << "a stranger keeps the worker out";
}

std::string hello_line(const std::string& token, const std::string& run, int attempt) {
  return encode(LinkHello{token, RunId{run}, attempt}) + "\n";
}

INSTANTIATE_TEST_SUITE_P(
    Words, WrongWordTest,
    testing::Values(
        WrongWord{"wrong_token",
                  [](const std::string& token) {
                    std::string wrong = token;
                    wrong.back() = wrong.back() == '0' ? '1' : '0';
                    return hello_line(wrong, "01HZZZZZZZZZZZZZZZZZZZZZZZ", 1);
                  }},
        WrongWord{
            "short_token",
            [](const std::string& token) { return hello_line(token.substr(1), "01HZZZZZZZZZZZZZZZZZZZZZZZ", 1); }},
        WrongWord{"other_run",
                  [](const std::string& token) { return hello_line(token, "01HZZZZZZZZZZZZZZZZZZZZZZY", 1); }},
        WrongWord{"other_attempt",
                  [](const std::string& token) { return hello_line(token, "01HZZZZZZZZZZZZZZZZZZZZZZZ", 2); }},
        WrongWord{"notice_first", [](const std::string&) { return encode(JournalNotice{1}) + "\n"; }},
        WrongWord{"no_json", [](const std::string&) { return std::string("GET / HTTP/1.1\r\n\r\n"); }},
        WrongWord{"endless_line", [](const std::string&) { return std::string(3 * kLinkLineLimit, 'a'); }}),
    [](const auto& param) { return param.param.name; });

TEST_F(LinkServerTest, HangsUpOnACallerThatSaysNothing) {
  const Caller caller(server_.port());
  EXPECT_TRUE(soon([&] { return caller.hung_up(); }, 10s));
}

TEST_F(LinkServerTest, HearsOneCallerOnly) {
  const Caller first(server_.port());
  first.say(hello(server_.token()) + kNotice);
  ASSERT_TRUE(soon([&] { return heard_.size() == 1; }));
  const Caller second(server_.port());
  second.say(hello(server_.token()) + encode(JournalNotice{1}) + "\n");
  EXPECT_TRUE(soon([&] { return second.hung_up(); }));
  EXPECT_EQ(heard_.size(), 1U);
}

TEST_F(LinkServerTest, ASecondHelloEndsTheCall) {
  const Caller caller(server_.port());
  caller.say(hello(server_.token()) + hello(server_.token()));
  EXPECT_TRUE(soon([&] { return caller.hung_up(); }));
  const Caller next(server_.port());
  next.say(hello(server_.token()) + kNotice);
  EXPECT_TRUE(soon([&] { return heard_.size() == 1; })) << "the line is free again";
}

TEST(LinkServer, MayGoWhileACallerIsOnTheLine) {
  Reactor reactor;
  auto server = std::make_unique<LinkServer>(reactor.context(), RunId{"x"}, 1, [](const LinkMessage&) { FAIL(); });
  const Caller caller(server->port());
  reactor.wait(100ms);
  caller.say(encode(LinkHello{server->token(), RunId{"x"}, 1}) + "\n" + encode(JournalNotice{1}) + "\n");
  server.reset();
  for (int i = 0; i < 10; ++i) reactor.wait(10ms);
  EXPECT_TRUE(caller.hung_up());
}

TEST(LinkServer, ComparesWholeTokens) {
  EXPECT_TRUE(equal_in_constant_time("abc", "abc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "abd"));
  EXPECT_FALSE(equal_in_constant_time("abc", "bbc"));
  EXPECT_FALSE(equal_in_constant_time("abc", "ab"));
  EXPECT_FALSE(equal_in_constant_time("", "a"));
}

}  // namespace
}  // namespace regatta
