"""Small tokenizers and models as other people's are: every kind of tokenizer.json, and random weights."""

import random

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

# Llama 3's and Qwen2's way of cutting a text into words.
WORDS = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|"
         r"\s+(?!\S)|\s+")
CHATML = ("{%- if messages[0]['role'] != 'system' -%}{{ '<|im_start|>system\nYou are helpful.<|im_end|>\n' }}{%- endif -%}"
          "{%- for message in messages -%}{{ '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}"
          "{%- endfor -%}{%- if add_generation_prompt -%}{{ '<|im_start|>assistant\n' }}{%- endif -%}")
LLAMA3_CHAT = ("{% set loop_messages = messages %}{% for message in loop_messages %}"
               "{% set content = '<|start_header_id|>' + message['role'] + '<|end_header_id|>\n\n'+ message['content'] | trim"
               " + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}{{ content }}"
               "{% endfor %}{% if add_generation_prompt %}"
               "{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}")
LLAMA2_CHAT = ("{% if messages[0]['role'] == 'system' %}{% set rest = messages[1:] %}{% set system = messages[0]['content'] %}"
               "{% else %}{% set rest = messages %}{% set system = false %}{% endif %}{% for message in rest %}"
               "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}"
               "{{ raise_exception('Conversation roles must alternate user/assistant') }}{% endif %}"
               "{% if loop.index0 == 0 and system %}{% set content = '<<SYS>>\n' + system + '\n<</SYS>>\n\n' + message['content'] %}"
               "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
               "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% else %}"
               "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}")
KOREAN = "가나다라마바사 아자차카 문서를 읽고 학습한다 서울에서 만난 사람들은 오늘도 값을 계산했다 때문에 그러나 사실은".split()
ENGLISH = "the quick brown fox reads documents because 1024 models don't learn It's NASA's reply, e.g. e-mail: x@y.z".split()
EMOJI = ["😀", "👩‍👩‍👧", "🇰🇷", "🏳️‍🌈", "✅", "한글", "é", "Å", "ﬁ", "①", "\u200b", "\ufeff", "½", "\u00a0", "İ"]


class Report:
    failed = 0

    def check(self, what, good):
        self.failed += not good
        print(f"{'ok  ' if good else 'FAIL'} {what}")


def lines(count, seed=0):
    """Korean, English, emoji and Unicode that is in no normal form, every line another."""
    draw = random.Random(seed)
    made = []
    for i in range(count):
        words = [draw.choice(draw.choice((KOREAN, ENGLISH, EMOJI))) for _ in range(draw.randint(1, 12))]
        made.append(draw.choice(("", " ", "\t", "  ")) + draw.choice((" ", "  ", "")).join(words) + f" {i}" +
                    draw.choice(("", ".", "!!", "\u3002", " ")))
    return made


def llama():
    """SentencePiece's BPE as Llama 1 and 2 have it: spaces are part of words, unknown characters are bytes."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    tokenizer.train_from_iterator(lines(500, 1), trainers.BpeTrainer(vocab_size=700, special_tokens=special[:3],
                                                                     initial_alphabet=[], show_progress=False))
    # The trainer makes no byte tokens: they are part of the model in files that SentencePiece's are converted to.
    import json
    spec = json.loads(tokenizer.to_str())
    vocab = list(spec["model"]["vocab"])
    vocab = vocab[:3] + special[3:] + vocab[3:]
    spec["model"]["vocab"] = {token: i for i, token in enumerate(vocab)}
    tokenizer = Tokenizer.from_str(json.dumps(spec))
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
                                   chat_template=LLAMA2_CHAT)


def byte_level(special, normalizer, begin, end, template, post=None):
    tokenizer = Tokenizer(models.BPE(ignore_merges=begin is not None))
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(WORDS), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(lines(500, 2), trainers.BpeTrainer(
        vocab_size=600, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    tokenizer.add_tokens([AddedToken("<tool_call>", special=False, normalized=False)])
    if post is not None:
        tokenizer.post_processor = post(tokenizer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=begin, eos_token=end, chat_template=template)


def llama3():
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]

    def post(tokenizer):
        begin = ("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))
        return processors.Sequence([processors.ByteLevel(trim_offsets=False), processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A $B", special_tokens=[begin])])
    return byte_level(special, None, special[0], special[1], LLAMA3_CHAT, post)


def qwen2():
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    return byte_level(special, normalizers.NFC(), None, "<|im_end|>", CHATML)


def unigram():
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.train_from_iterator(lines(500, 3), trainers.UnigramTrainer(
        vocab_size=500, special_tokens=["<pad>", "</s>", "<unk>"], unk_token="<unk>", show_progress=False))
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")


TOKENIZERS = {"llama": llama, "llama3": llama3, "qwen2": qwen2, "unigram": unigram}
