// SPDX-License-Identifier: Apache-2.0
//
// Messages past gRPC, whatever a peer grants and sets. Input: the size of the pieces (1 byte),
// then steps of 5 bytes: what happens, and a number. A model of gRPC that uses all it is
// granted stands on one side, a peer that keeps count on the other: its windows never become
// negative, and nothing but window updates is lost on the way.
#include <algorithm>
#include <string>

#include "server/service/short_way.h"
#include "tests/fuzz/byte_reader.h"
#include "tests/fuzz/fuzz_check.h"

namespace lockhost::server {
namespace {

constexpr uint32_t kStream = 1;
constexpr uint32_t kMostWindow = 0x7fffffff;
constexpr size_t kMagicBytes = 24;

std::string Frame(uint8_t type, uint32_t stream_id, const std::string& payload) {
  std::string frame(http2::kHeaderBytes, 0);
  http2::WriteHeader({static_cast<uint32_t>(payload.size()), type, 0, stream_id}, frame.data());
  return frame + payload;
}

std::string Big32(uint32_t value) {
  std::string bytes(4, 0);
  http2::WriteBig32(value, bytes.data());
  return bytes;
}

class Model {
 public:
  explicit Model(size_t piece) : piece_(piece) { In(std::string(kMagicBytes, 'm')); }

  void Step(uint8_t what, uint32_t number) {
    switch (what % 6) {
      case 0:
        return Grant(0, number % 100'000 + 1);
      case 1:
        return Grant(kStream, number % 100'000 + 1);
      case 2:
        return GrpcWrites(number % 16'384 + 1);
      case 3:
        return Spend(number % 20'000);
      case 4:
        return Set(number % 200'000);
      default:
        return Pass(number);
    }
  }

 private:
  // Of the connection, of the stream: what the peer has granted, and what gRPC knows of it.
  struct Window {
    int64_t true_size = http2::kFirstWindow;
    int64_t for_grpc = http2::kFirstWindow;
  };

  std::string In(std::string_view bytes) {
    std::string for_grpc;
    while (!bytes.empty()) {
      way_.TakeIn(bytes.substr(0, piece_), &for_grpc);
      bytes.remove_prefix(std::min(piece_, bytes.size()));
    }
    return for_grpc;
  }

  void Grant(uint32_t stream_id, uint32_t size) {
    Window& window = stream_id == 0 ? connection_ : stream_;
    if (window.true_size + size > kMostWindow) return;
    window.true_size += size;
    const std::string left = In(Frame(http2::kWindowUpdate, stream_id, Big32(size)));
    if (left.empty()) return;
    FUZZ_CHECK(left.size() == http2::kHeaderBytes + 4);
    const uint32_t granted = http2::ReadBig32(left.data() + http2::kHeaderBytes);
    FUZZ_CHECK(granted > 0 && granted <= size);
    window.for_grpc += granted;
  }

  // The first one is the message that is waited for.
  void GrpcWrites(int64_t size) {
    size = std::min({size, connection_.for_grpc, stream_.for_grpc});
    if (size <= 0) return;
    const std::string message(static_cast<size_t>(size), 'g');
    if (grpc_bytes_ == 0) way_.Await(message);
    way_.FollowOut(Frame(http2::kData, kStream, message));
    if (grpc_bytes_ == 0) FUZZ_CHECK(way_.TakeFound() == kStream);
    grpc_bytes_ += static_cast<uint64_t>(size);
    Use(size);
    connection_.for_grpc -= size;
    stream_.for_grpc -= size;
  }

  void Spend(uint32_t size) {
    if (way_.Spend(kStream, size, grpc_bytes_)) Use(size);
  }

  void Use(int64_t size) {
    connection_.true_size -= size;
    stream_.true_size -= size;
    FUZZ_CHECK(size == 0 || (connection_.true_size >= 0 && stream_.true_size >= 0));
  }

  void Set(uint32_t size) {
    const std::string settings = Frame(http2::kSettings, 0, std::string("\0\4", 2) + Big32(size));
    FUZZ_CHECK(In(settings) == settings);
    const int64_t more = int64_t{size} - first_window_;
    first_window_ = size;
    stream_.true_size += more;
    stream_.for_grpc += more;
  }

  void Pass(uint32_t number) {
    const std::string other = Frame(static_cast<uint8_t>(http2::kContinuation + number % 200),
                                    number % 4, std::string(number % 300, 'o'));
    FUZZ_CHECK(In(other) == other);
  }

  const size_t piece_;
  ShortWay way_;
  Window connection_, stream_;
  int64_t first_window_ = http2::kFirstWindow;
  uint64_t grpc_bytes_ = 0;
};

}  // namespace
}  // namespace lockhost::server

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lockhost::ByteReader input(data, size);
  lockhost::server::Model model(size_t{input.Take<uint8_t>()} + 1);
  while (!input.empty()) {
    const auto what = input.Take<uint8_t>();
    model.Step(what, input.Take<uint32_t>());
  }
  return 0;
}
