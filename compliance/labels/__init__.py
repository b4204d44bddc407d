"""Labels of generated content: visible text, the AIGC object in metadata, its signature, and files that carry it.

《人工智能生成合成内容标识办法》 and GB 45438-2025; `docs/labels.md` says which facts are how sure.
"""
