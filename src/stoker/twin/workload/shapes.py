"""Hourly requests of two services over a week: what `profile` calls weekly, weekly-chat and diurnal.

Read off the curves of requests per minute that Azure publishes with its 2024 traces (CC-BY-4.0, Azure/AzurePublicDataset,
analysis/AzureLLMInferenceDataset2024.ipynb; Stojkovic et al., "DynamoLLM", HPCA 2025), averaged by hour. Summed up they
give 16.9 and 27.2 million requests; the traces have 16.8 and 27.3 million rows.
"""

from typing import Final

__all__ = ["CHAT", "CODING"]

# Tens of requests per minute; a row a day, Monday first.
# A coding assistant of office hours, four hours moved from UTC to the east coast of the USA, where its lunch break is at
# noon: the busiest hour has 3.0 times the mean, the weekend a third of a weekday.
CODING: Final = (
    (84, 66, 54, 53, 49, 49, 49, 77, 129, 242, 342, 384, 366, 414, 454, 469, 433, 336, 264, 187, 169, 177, 157, 109),
    (89, 72, 59, 48, 45, 53, 56, 85, 159, 289, 405, 403, 357, 442, 498, 495, 451, 322, 238, 184, 167, 151, 137, 126),
    (93, 74, 67, 53, 52, 46, 59, 82, 150, 263, 350, 387, 397, 433, 489, 504, 484, 349, 225, 179, 155, 138, 144, 115),
    (89, 76, 71, 55, 52, 54, 55, 86, 166, 245, 362, 384, 371, 433, 477, 484, 428, 310, 223, 175, 129, 132, 115, 97),
    (77, 67, 55, 50, 43, 48, 50, 67, 119, 200, 294, 329, 301, 343, 354, 363, 349, 261, 189, 127, 102, 93, 81, 79),
    (65, 53, 45, 32, 24, 20, 16, 29, 44, 59, 72, 79, 87, 98, 104, 106, 94, 86, 96, 82, 81, 85, 78, 74),
    (63, 51, 40, 26, 21, 21, 22, 24, 36, 47, 61, 73, 78, 79, 92, 95, 108, 113, 103, 102, 111, 112, 111, 97),
)  # fmt: skip

# Conversations with users around the world, in UTC: the busiest hour has 1.7 times the mean, the weekend 57 % of a weekday.
CHAT: Final = (
    (262, 295, 297, 245, 247, 268, 305, 325, 342, 318, 313, 333, 358, 400, 446, 417, 366, 345, 339, 334, 315, 253, 248, 262),
    (290, 302, 310, 252, 255, 272, 315, 350, 344, 337, 315, 343, 390, 416, 445, 418, 385, 360, 381, 351, 317, 281, 241, 229),
    (269, 291, 278, 232, 244, 261, 298, 322, 328, 332, 304, 320, 364, 398, 406, 386, 350, 331, 343, 324, 282, 215, 205, 230),
    (268, 308, 295, 247, 244, 269, 329, 344, 373, 355, 284, 299, 342, 399, 410, 361, 338, 334, 332, 302, 271, 238, 209, 234),
    (278, 297, 288, 237, 246, 273, 301, 328, 319, 319, 282, 287, 317, 347, 349, 330, 304, 299, 264, 247, 231, 196, 162, 155),
    (157, 167, 173, 141, 142, 150, 152, 166, 174, 153, 172, 188, 208, 207, 227, 230, 220, 204, 186, 177, 185, 173, 156, 146),
    (151, 159, 152, 135, 127, 130, 134, 154, 154, 149, 148, 169, 173, 217, 203, 214, 197, 205, 208, 192, 185, 182, 172, 207),
)  # fmt: skip
