"""Small models as people write them: numbers in both modes, gradients, state, another batch, the source by itself."""

import math

import pytest
import torch
import torch.nn.functional as F
from proof import proven
from small import normal
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

pytestmark = pytest.mark.usefixtures("seed")


def tokens(n, *shape):
    return torch.randint(0, n, shape)


# -- recurrent -------------------------------------------------------------------------------------------------------


class NameClassifier(nn.Module):
    """A name's letters in, logits of countries out: the last states of both directions of the upper layer."""

    def __init__(self, letters, hidden_size, countries, n_layers=2, bidirectional=True):
        super().__init__()
        self.hidden_size, self.n_layers = hidden_size, n_layers
        self.n_directions = 2 if bidirectional else 1
        self.embedding = nn.Embedding(letters, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, n_layers, bidirectional=bidirectional)
        self.fc = nn.Linear(hidden_size * self.n_directions, countries)

    def forward(self, input, seq_lengths):
        input = input.t()
        batch_size = input.size(1)
        hidden = torch.zeros(self.n_layers * self.n_directions, batch_size, self.hidden_size)
        gru_input = pack_padded_sequence(self.embedding(input), seq_lengths)
        _, hidden = self.gru(gru_input, hidden)
        if self.n_directions == 2:
            hidden = torch.cat([hidden[-1], hidden[-2]], dim=1)
        else:
            hidden = hidden[-1]
        return self.fc(hidden)


def test_name_classifier():
    lengths, others = torch.tensor([7, 5, 3, 1]), (tokens(128, 3, 7), torch.tensor([7, 7, 2]))
    _, source = proven(NameClassifier(128, 6, 5), (tokens(128, 4, 7), lengths), others=[others])
    assert "self.gru = nn.GRU(6, 6, num_layers=2, bidirectional=True, rngs=rngs)" in source
    assert "nn.utils.rnn.pack_padded_sequence(embedding, seq_lengths)" in source.replace(
        "self.embedding(input_)", "embedding"
    )


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(20, 5, padding_idx=0)
        self.lstm = nn.LSTM(5, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.out = nn.Linear(8, 3)

    def forward(self, tokens, lengths):
        x = self.embed(tokens)
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        packed, _ = self.lstm(packed)
        x, _ = pad_packed_sequence(packed, batch_first=True, total_length=tokens.size(1))
        return self.out(x)


def test_tagger_with_packed_sequences():
    others = (tokens(20, 5, 6), torch.tensor([2, 6, 4, 1, 1]))
    _, source = proven(Tagger(), (tokens(20, 3, 6), torch.tensor([2, 6, 4])), others=[others])
    assert "packed, (_, _) = self.lstm(packed)" in source


class Attention(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.w = nn.Linear(2 * size, size)
        self.v = nn.Parameter(torch.randn(size))

    def forward(self, hidden, encoded):
        hidden = hidden.unsqueeze(1).repeat(1, encoded.size(1), 1)
        energy = torch.tanh(self.w(torch.cat((hidden, encoded), dim=2)))
        return F.softmax((energy * self.v).sum(-1), dim=1)


class Seq2Seq(nn.Module):
    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(11, 4), nn.Embedding(13, 4)
        self.encoder = nn.GRU(4, 6, batch_first=True)
        self.attention = Attention(6)
        self.cell = nn.GRUCell(10, 6)
        self.out = nn.Linear(6, 13)

    def forward(self, src, trg):
        encoded, hidden = self.encoder(self.source(src))
        hidden = hidden[0]
        outputs = []
        for t in range(trg.shape[1]):
            weights = self.attention(hidden, encoded)
            context = torch.bmm(weights.unsqueeze(1), encoded).squeeze(1)
            hidden = self.cell(torch.cat([self.target(trg[:, t]), context], -1), hidden)
            outputs.append(self.out(hidden))
        return torch.stack(outputs, dim=1)


def test_seq2seq_with_attention():
    proven(Seq2Seq(), (tokens(11, 3, 5), tokens(13, 3, 2)), others=[(tokens(11, 2, 5), tokens(13, 2, 2))])


class CellLoop(nn.Module):
    """Steps are the first axis: how many there are is part of what is converted."""

    def __init__(self):
        super().__init__()
        self.rnn, self.lstm, self.gru = nn.RNNCell(4, 3), nn.LSTMCell(3, 3), nn.GRUCell(3, 3)

    def forward(self, x, hx=None):
        if hx is None:
            hx = torch.zeros(x.size(1), 3)
        state, g, out = (hx, hx), hx, []
        for step in x:
            hx = self.rnn(step, hx)
            state = self.lstm(hx, state)
            g = self.gru(state[0], g)
            out.append(g)
        return torch.stack(out), (hx, *state)


def test_cells_in_a_loop_over_the_first_axis():
    model, source = proven(CellLoop(), normal(5, 2, 4))
    assert 'check.shape("x", x, (5, 2, 4))' in source
    with pytest.raises(ValueError, match=r"x: expected shape \(5, 2, 4\), for which this module was converted"):
        model(torch.zeros(6, 2, 4).numpy())


class ByHand(nn.Module):
    """A recurrent layer as the seed writes it: a loop that fills an array."""

    def __init__(self):
        super().__init__()
        self.weight_ih, self.weight_hh = nn.Parameter(torch.randn(3, 2)), nn.Parameter(torch.randn(3, 3))
        self.bias_ih, self.bias_hh = nn.Parameter(torch.randn(3)), nn.Parameter(torch.randn(3))

    def forward(self, input, h_prev):
        bs, T, _ = input.shape
        h_out = torch.zeros(bs, T, self.weight_ih.shape[0], dtype=input.dtype)
        for t in range(T):
            w_x = torch.bmm(self.weight_ih.unsqueeze(0).tile(bs, 1, 1), input[:, t, :].unsqueeze(2)).squeeze(-1)
            w_h = torch.bmm(self.weight_hh.unsqueeze(0).tile(bs, 1, 1), h_prev.unsqueeze(2)).squeeze(-1)
            h_prev = torch.tanh(w_x + self.bias_ih + w_h + self.bias_hh)
            h_out[:, t, :] = h_prev
        return h_out, h_prev.unsqueeze(0)


def test_recurrence_by_hand():
    proven(ByHand(), (normal(2, 3, 2), normal(2, 3)), others=[(normal(3, 3, 2), normal(3, 3))], double=True)


# -- pictures and sound ----------------------------------------------------------------------------------------------


class Dilated(nn.Module):
    def __init__(self, channels, dilation):
        super().__init__()
        self.dilation = dilation
        self.filter = nn.Conv1d(channels, channels, 2, dilation=dilation)
        self.gate = nn.Conv1d(channels, channels, 2, dilation=dilation)
        self.residual, self.skip = nn.Conv1d(channels, channels, 1), nn.Conv1d(channels, 2 * channels, 1)

    def forward(self, x):
        padded = F.pad(x, (self.dilation, 0))
        z = torch.tanh(self.filter(padded)) * torch.sigmoid(self.gate(padded))
        return self.residual(z) + x, self.skip(z)


class WaveNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv1d(1, 4, 1)
        self.blocks = nn.ModuleList(Dilated(4, 2**i) for i in range(3))
        self.end = nn.Conv1d(8, 3, 1)

    def forward(self, x):
        x = self.first(x)
        skips = 0
        for block in self.blocks:
            x, skip = block(x)
            skips = skips + skip
        return self.end(F.relu(skips))


def test_wavenet():
    _, source = proven(WaveNet(), normal(2, 1, 19), others=[normal(3, 1, 19)])
    assert "F.pad(x, (self.dilation, 0))" in source


def double_conv(inputs, outputs):
    # no bias: its gradient is zero but for rounding
    conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class Up(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, inputs // 2, 2, stride=2)
        self.conv = double_conv(inputs, outputs)

    def forward(self, x1, x2):
        x1 = self.up(x1)
        dy, dx = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.inc = double_conv(3, 4)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), double_conv(4, 8))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), double_conv(8, 16))
        self.up1, self.up2 = Up(16, 8), Up(8, 4)
        self.outc = nn.Conv2d(4, 2, 1)

    def forward(self, x):
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x = self.up1(self.down2(x2), x2)
        return self.outc(self.up2(x, x1))


def test_unet_of_odd_sizes():
    # in float32 gradients of sums over two thousand places are at their last digits, torch's as ours
    proven(UNet(), normal(2, 3, 17, 23), others=[normal(3, 3, 17, 23)], grad=False, double=True)


class Generator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(5, 8, 4, 1, 0, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(True),
            nn.ConvTranspose2d(8, 3, 4, 2, 1, bias=False),
            nn.Tanh(),
        )

    def forward(self, input):
        return self.main(input)


class Discriminator(nn.Module):
    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(3, 4, 4, 2, 1, bias=False),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4, 1, 4, 1, 0, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, input):
        return self.main(input).view(-1)


def test_dcgan():
    proven(Generator(), normal(2, 5, 1, 1), others=[normal(3, 5, 1, 1)])
    proven(Discriminator(), normal(2, 3, 8, 8), others=[normal(3, 3, 8, 8)])


class Atrous(nn.Module):
    def __init__(self, inputs, outputs, rates):
        super().__init__()
        modules = [nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.ReLU())]
        modules += [nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=r, dilation=r), nn.ReLU()) for r in rates]
        self.convs = nn.ModuleList(modules)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, outputs, 1), nn.ReLU())
        self.project = nn.Conv2d(outputs * (len(modules) + 1), outputs, 1)

    def forward(self, x):
        found = [conv(x) for conv in self.convs]
        found.append(F.interpolate(self.pool(x), size=x.shape[-2:], mode="bilinear", align_corners=False))
        return self.project(torch.cat(found, dim=1))


class DeepLab(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Conv2d(3, 4, 3, stride=4, padding=1)
        self.head = Atrous(4, 5, (2, 3))

    def forward(self, x):
        out = self.head(self.backbone(x))
        return {"out": F.interpolate(out, size=x.shape[-2:], mode="bilinear", align_corners=False)}


def test_atrous_head():
    proven(DeepLab(), normal(2, 3, 21, 18), others=[normal(1, 3, 21, 18)])


class Inception(nn.Module):
    def __init__(self, inputs):
        super().__init__()
        self.branch1 = nn.Conv2d(inputs, 4, 1)
        self.branch5_1, self.branch5_2 = nn.Conv2d(inputs, 3, 1), nn.Conv2d(3, 5, 5, padding=2)
        self.pool = nn.Conv2d(inputs, 2, 1)

    def forward(self, x):
        pooled = self.pool(F.avg_pool2d(x, kernel_size=3, stride=1, padding=1))
        return torch.cat([self.branch1(x), self.branch5_2(self.branch5_1(x)), pooled], dim=1)


class Residual(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = (nn.Conv2d(channels, channels, 3, padding=1) for _ in range(2))

    def forward(self, x):
        y = F.relu(self.conv1(x))
        return F.relu(x + self.conv2(y))


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 3, 5), nn.Conv2d(11, 4, 5)
        self.incep1, self.res = Inception(3), Residual(4)
        self.mp, self.fc = nn.MaxPool2d(2), nn.Linear(4 * 4 * 4, 10)

    def forward(self, x):
        in_size = x.size(0)
        x = self.incep1(F.relu(self.mp(self.conv1(x))))
        x = self.res(F.relu(self.mp(self.conv2(x))))
        return self.fc(x.view(in_size, -1))


def test_digits_with_inception_and_residual_blocks():
    _, source = proven(Digits(), normal(2, 1, 28, 28), others=[normal(3, 1, 28, 28)])
    assert "reshape(in_size, -1)" in source


# -- attention -------------------------------------------------------------------------------------------------------


class VisionAttention(nn.Module):
    def __init__(self, dim, heads=2):
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.qkv, self.proj = nn.Linear(dim, 3 * dim, bias=False), nn.Linear(dim, dim)

    def forward(self, x):
        B, N, C = x.shape
        qkv = self.qkv(x).reshape(B, N, 3, self.heads, C // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        attn = ((q @ k.transpose(-2, -1)) * self.scale).softmax(dim=-1)
        return self.proj((attn @ v).transpose(1, 2).reshape(B, N, C))


class VisionBlock(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(dim), VisionAttention(dim), nn.LayerNorm(dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.patch = nn.Conv2d(3, dim, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, dim))
        self.pos_embed = nn.Parameter(torch.randn(1, 7, dim))
        self.blocks = nn.ModuleList([VisionBlock(dim) for _ in range(2)])
        self.norm, self.head = nn.LayerNorm(dim), nn.Linear(dim, 5)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat((self.cls_token.expand(x.shape[0], -1, -1), x), dim=1) + self.pos_embed
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def test_vision_transformer():
    _, source = proven(ViT(), normal(2, 3, 8, 12), others=[normal(3, 3, 8, 12)])
    assert "for block in self.blocks:" in source


class CausalAttention(nn.Module):
    def __init__(self, dim, heads, length):
        super().__init__()
        self.c_attn, self.c_proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.n_head, self.n_embd = heads, dim
        mask = torch.tril(torch.ones(length, length)).view(1, 1, length, length)
        self.register_buffer("mask", mask, persistent=False)

    def forward(self, x):
        B, T, C = x.size()
        q, k, v = (
            y.view(B, T, self.n_head, C // self.n_head).transpose(1, 2)
            for y in self.c_attn(x).split(self.n_embd, dim=2)
        )
        att = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        att = F.softmax(att.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf")), dim=-1)
        return self.c_proj((att @ v).transpose(1, 2).contiguous().view(B, T, C))


class GPTBlock(nn.Module):
    def __init__(self, dim, heads, length):
        super().__init__()
        self.ln_1, self.attn, self.ln_2 = nn.LayerNorm(dim), CausalAttention(dim, heads, length), nn.LayerNorm(dim)
        self.mlp = nn.ModuleDict(
            {"c_fc": nn.Linear(dim, 4 * dim), "act": nn.GELU(approximate="tanh"), "c_proj": nn.Linear(4 * dim, dim)}
        )

    def forward(self, x):
        x = x + self.attn(self.ln_1(x))
        return x + self.mlp.c_proj(self.mlp.act(self.mlp.c_fc(self.ln_2(x))))


class GPT(nn.Module):
    def __init__(self, dim=8, vocabulary=17, length=9):
        super().__init__()
        self.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, dim),
                "wpe": nn.Embedding(length, dim),
                "h": nn.ModuleList([GPTBlock(dim, 2, length) for _ in range(2)]),
                "ln_f": nn.LayerNorm(dim),
            }
        )
        self.lm_head = nn.Linear(dim, vocabulary, bias=False)
        self.transformer.wte.weight = self.lm_head.weight

    def forward(self, idx, targets=None):
        pos = torch.arange(0, idx.size(1), dtype=torch.long, device=idx.device).unsqueeze(0)
        x = self.transformer.wte(idx) + self.transformer.wpe(pos)
        for block in self.transformer.h:
            x = block(x)
        logits = self.lm_head(self.transformer.ln_f(x))
        if targets is None:
            return logits, None
        return logits, F.cross_entropy(logits.view(-1, logits.size(-1)), targets.view(-1), ignore_index=-1)


def test_gpt_with_tied_weights_and_loss():
    others = (tokens(17, 4, 6), tokens(17, 4, 6))
    model, _ = proven(GPT(), (tokens(17, 2, 6), tokens(17, 2, 6)), others=[others])
    assert model.lm_head.weight is model.transformer["wte"].weight


class Translator(nn.Module):
    def __init__(self):
        super().__init__()
        self.src, self.tgt = nn.Embedding(11, 8), nn.Embedding(13, 8)
        self.transformer = nn.Transformer(8, 2, 1, 1, 16, 0.0, batch_first=True)

    def forward(self, source, target, padding):
        mask = nn.Transformer.generate_square_subsequent_mask(target.size(1))
        return self.transformer(self.src(source), self.tgt(target), tgt_mask=mask, src_key_padding_mask=padding)


def test_transformer_with_masks():
    padding = torch.zeros(2, 5)
    padding[0, 3:] = float("-inf")
    others = (tokens(11, 3, 5), tokens(13, 3, 4), torch.zeros(3, 5))
    proven(Translator(), (tokens(11, 2, 5), tokens(13, 2, 4), padding), others=[others], train=False)


# -- others ----------------------------------------------------------------------------------------------------------


class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc21, self.fc22 = nn.Linear(12, 8), nn.Linear(8, 3), nn.Linear(8, 3)
        self.fc3, self.fc4 = nn.Linear(3, 8), nn.Linear(8, 12)

    def encode(self, x):
        h1 = F.relu(self.fc1(x))
        return self.fc21(h1), self.fc22(h1)

    def reparameterize(self, mu, logvar):
        if self.training:
            std = torch.exp(0.5 * logvar)
            return mu + torch.randn_like(std) * std
        return mu

    def decode(self, z):
        return torch.sigmoid(self.fc4(F.relu(self.fc3(z))))

    def forward(self, x):
        mu, logvar = self.encode(x.view(-1, 12))
        return self.decode(self.reparameterize(mu, logvar)), mu, logvar


def test_vae_draws_in_training_alone():
    model, source = proven(VAE(), normal(2, 3, 4), others=[normal(5, 3, 4)], train=False)
    assert "if self.deterministic:" in source
    x = normal(2, 3, 4).numpy()
    model.train()
    assert (model(x)[0] != model(x)[0]).any()
    model.eval()
    assert (model(x)[0] == model(x)[0]).all()


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3))
        self.bn = nn.BatchNorm1d(3)

    def once(self, x):
        return self.bn(self.net(x))

    def forward(self, a, b):
        return F.pairwise_distance(self.once(a), self.once(b))


def test_siamese():
    proven(Siamese(), (normal(3, 4), normal(3, 4)), others=[(normal(5, 4), normal(5, 4))], double=True)


class Tree(nn.Module):
    def __init__(self, depth):
        super().__init__()
        self.depth = depth
        self.linear = nn.Linear(3, 3)
        if depth:
            self.left, self.right = Tree(depth - 1), Tree(depth - 1)

    def forward(self, x):
        x = torch.tanh(self.linear(x))
        return self.left(x) + self.right(x) * 2 if self.depth else x


def test_modules_that_hold_their_like():
    proven(Tree(2), normal(2, 3), others=[normal(5, 3)])


class VectorQuantiser(nn.Module):
    def __init__(self):
        super().__init__()
        self.codes = nn.Embedding(6, 3)

    def forward(self, z):
        flat = z.reshape(-1, 3)
        distances = (flat**2).sum(1, keepdim=True) + (self.codes.weight**2).sum(1) - 2 * flat @ self.codes.weight.t()
        nearest = torch.argmin(distances, dim=1).unsqueeze(1)
        chosen = torch.zeros(nearest.shape[0], 6, device=z.device, dtype=z.dtype)
        chosen.scatter_(1, nearest, 1)
        quantised = (chosen @ self.codes.weight).view(z.shape)
        loss = F.mse_loss(quantised.detach(), z) + 0.25 * F.mse_loss(quantised, z.detach())
        return z + (quantised - z).detach(), loss


def test_vector_quantiser():
    proven(VectorQuantiser(), normal(2, 4, 3), others=[normal(3, 4, 3)])
