// SPDX-License-Identifier: Apache-2.0
#ifndef LOCKHOST_SERVER_SERVICE_SHORT_WAY_H_
#define LOCKHOST_SERVER_SERVICE_SHORT_WAY_H_

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/http2_frames.h"

namespace lockhost::server {

// Which messages may go to a peer past gRPC, as DATA frames between gRPC's own.
//
// gRPC opens each stream, says its first message and its last word, and answers for everything
// but flow control, of which it must not believe more than is true: the peer's windows shrink by
// what we send without it. So part of what the peer grants is withheld from gRPC, on the
// connection and on the stream, and only that is spent here. Both kinds of bytes together then
// never exceed a window, whatever the peer does; a window update that pays back what
// was spent here need not reach gRPC at all.
//
// What is withheld is little, and only from windows that stay large without it: a peer that
// grants little is served by gRPC alone. Pure, constant memory for each stream that was found;
// not thread-safe.
class ShortWay {
 public:
  static constexpr int64_t kMostWithheld = 8'192;  // of the connection; of each stream
  static constexpr int64_t kLeftToGrpc = 32'768;   // at least; otherwise nothing is withheld
  static constexpr size_t kMostStreams = 16;

  // From the peer: appends to `for_grpc` what gRPC is to get of it. The bytes have passed the
  // FrameInspector. May keep back some bytes until more come.
  void TakeIn(std::string_view bytes, std::string* for_grpc);

  // gRPC is about to write the first message of a stream: `message` with its prefix. The stream
  // is the one whose DATA frame has these bytes.
  void Await(std::string_view message) { awaited_ = message; }
  // From gRPC, as it goes to the peer.
  void FollowOut(std::string_view bytes);
  // The stream that was found since Await(), 0 for none. Ends the wait.
  uint32_t TakeFound();

  // Whether `size` bytes may be sent as DATA of the stream now, all that gRPC was given for it,
  // `grpc_bytes`, having gone out. Counts them as sent.
  bool Spend(uint32_t stream_id, uint32_t size, uint64_t grpc_bytes);

 private:
  struct Window {
    int64_t grpc = http2::kFirstWindow;  // as gRPC sees it, or less
    int64_t withheld = 0;
    // Returns how much of a grant is left for gRPC.
    uint32_t Grant(uint32_t size);
  };
  struct Stream {
    uint32_t id;
    Window window;
    uint64_t grpc_bytes;  // that have gone out
  };

  Stream* Find(uint32_t stream_id);
  void Forget(uint32_t stream_id);
  void TakeMagic(std::string_view* bytes, std::string* for_grpc);
  void TakePiece(const http2::FrameCutter::Piece& piece, std::string* for_grpc);
  void TakeSettings(const http2::FrameCutter::Piece& piece);
  void TakeWindowUpdate(std::string* for_grpc);
  void FollowData(const http2::FrameCutter::Piece& piece);

  size_t magic_seen_ = 0;
  http2::FrameCutter in_, out_;
  std::string update_;             // a window update that is not complete yet
  std::array<char, 6> setting_{};  // a setting that is not complete yet
  size_t setting_seen_ = 0;
  uint32_t first_window_ = http2::kFirstWindow;  // of a stream, as the peer has set it
  bool off_ = false;                             // the peer has changed that later
  Window connection_;
  std::vector<Stream> streams_;
  std::string_view awaited_;
  size_t awaited_seen_ = 0;
  uint32_t found_ = 0;
};

}  // namespace lockhost::server

#endif  // LOCKHOST_SERVER_SERVICE_SHORT_WAY_H_
